import { recordLogin, withSecurityLog } from "seclog/next";
import { security } from "../../security-log.js";

export const POST = withSecurityLog(async (request) => {
  const { name, password } = await request.json();
  const success = password === "correct horse";
  recordLogin(security, request, { userid: name, success });
  return new Response(null, { status: success ? 204 : 401 });
});
