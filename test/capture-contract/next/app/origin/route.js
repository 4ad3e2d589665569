import { CONTRACT } from "seclog/testing";
import { answer, handler } from "../../shared.js";

export const POST = handler(({ headers }) => answer(headers.get("origin") === CONTRACT.origin ? 200 : 403));
