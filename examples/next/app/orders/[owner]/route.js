import { checkAccess, withSecurityLog } from "seclog/next";
import { security } from "../../../security-log.js";
import { userOf } from "../../../user.js";

export const GET = withSecurityLog(async (request, { params }) => {
  const user = userOf(request);
  if (user === null) return new Response(null, { status: 401 });
  const { owner } = await params;
  const granted = checkAccess(security, request, user === owner, { resource: `orders of ${owner}` });
  return granted ? Response.json([]) : new Response(null, { status: 404 }); // recorded, whatever is answered
});
