import { CONTRACT } from "seclog/testing";
import { answer, handler } from "../../shared.js";

export const POST = handler(async (request) => {
  if (request.headers.get("content-type") !== "application/json") return answer(415);
  if (Number(request.headers.get("content-length")) > CONTRACT.limit) return answer(413);
  try {
    await request.json();
  } catch {
    return answer(400);
  }
  return answer(201);
});
