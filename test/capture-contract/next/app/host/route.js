import { handler } from "../../shared.js";

/** proxy.js refuses it. */
export const GET = handler(() => new Response("in"));
