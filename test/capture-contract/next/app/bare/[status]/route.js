import { handler } from "../../../shared.js";

export const POST = handler((_request, { status }) => Response.json({ error: "no" }, { status: Number(status) }));
