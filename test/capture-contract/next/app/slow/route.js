import { once } from "node:events";
import { answer, handler } from "../../shared.js";

export const GET = handler(async ({ signal }) => {
  if (!signal.aborted) await once(signal, "abort");
  return answer(403);
});
