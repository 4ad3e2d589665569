/** Bodies of requests: small JSON objects. */
import { failed } from "./failures.ts";

const MOST_BYTES = 16_384;

/**
 * The body's object, or why it is refused. Only `application/json` is read: a form of another site cannot send it, and a
 * script there would have to ask first (CORS), which gets no answer.
 */
export async function readJson(request: Request): Promise<{ readonly [member: string]: unknown } | Response> {
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/json") return failed(415, "BODY", "send content-type: application/json");
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) return failed(413, "BODY", `a body has at most ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below, without the body, which may have a password.
  }
  return failed(400, "BODY", "the body is not a JSON object");
}

/** A text of at most so many characters; `undefined` for anything else. */
export function textOf(value: unknown, most: number): string | undefined {
  return typeof value === "string" && value.length <= most ? value : undefined;
}
