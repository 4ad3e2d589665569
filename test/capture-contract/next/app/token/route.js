import { jwtVerify } from "jose";
import { noteError } from "seclog/next";
import { CONTRACT } from "seclog/testing";
import { answer, handler } from "../../shared.js";

const key = new TextEncoder().encode(CONTRACT.tokenSecret);

export const GET = handler(async ({ headers }) => {
  try {
    await jwtVerify(headers.get("authorization").slice("Bearer ".length), key);
    return new Response("in");
  } catch (error) {
    noteError(error);
    return answer(401);
  }
});
