import { answer, handler } from "../../../../shared.js";

export const GET = handler(() => new Response("order"));
export const DELETE = handler(() => answer(204));
