/** What the handlers share. */
import { setActor } from "seclog";
import { withSecurityLog } from "seclog/next";

/** An answer without a body. */
export const answer = (status, headers) => new Response(null, { status, headers });

/** A route handler, wrapped as Seclog's manual says, that knows who is signed in. */
export function handler(answerTo) {
  return withSecurityLog(async (request, context) => {
    const id = request.headers.get("x-user");
    if (id !== null) setActor({ id });
    return await answerTo(request, (await context?.params) ?? {}, id);
  });
}
