/** Next's middleware: what it refuses never reaches a route. */
import { withSecurityLog } from "seclog/next";
import { answer } from "./shared.js";

export const proxy = withSecurityLog(({ headers, nextUrl }) => {
  if (nextUrl.pathname === "/private") return answer(401, { "www-authenticate": 'Bearer realm="shop"' });
  if (headers.get("host") === "evil.example") return answer(421);
});
export const config = { matcher: ["/private", "/host"] };
