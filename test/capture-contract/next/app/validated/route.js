import { noteError } from "seclog/next";
import * as z from "zod";
import { handler } from "../../shared.js";

const Person = z.object({ email: z.email(), age: z.number() });

export const POST = handler(async (request) => {
  const { data, error } = Person.safeParse(await request.json());
  if (error === undefined) return Response.json(data);
  noteError(error);
  return Response.json({ error: "invalid" }, { status: 400 });
});
