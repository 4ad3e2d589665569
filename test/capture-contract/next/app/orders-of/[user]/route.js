import { checkAccess } from "seclog/next";
import { security } from "../../../security-log.js";
import { answer, handler } from "../../../shared.js";

export const GET = handler((request, { user }, id) =>
  answer(checkAccess(security, request, id === user, { resource: `orders/${user}` }) ? 200 : 404),
);
