import { answer, handler } from "../../shared.js";

export const GET = handler(() => answer(403));
