import { withSecurityLog } from "seclog/next";
import { security } from "../../../security-log.js";
import { userOf } from "../../../user.js";

export const DELETE = withSecurityLog(async (request, { params }) => {
  if (userOf(request) !== "root") return new Response(null, { status: 403 });
  const { id } = await params;
  await security.recordSecurityEvent("user_deleted", request, { onuserid: id }).durable;
  return new Response(null, { status: 204 });
});
