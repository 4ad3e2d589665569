import { answer, handler } from "../../shared.js";

let asked = 0;

export const GET = handler(() =>
  answer(asked++ % 2 === 0 ? 200 : 429, { "ratelimit-limit": "1", "retry-after": "60" }),
);
