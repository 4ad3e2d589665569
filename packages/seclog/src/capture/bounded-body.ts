/** The body of a request, up to a limit: a client must not be able to fill the memory with what nobody asked for. */
import type { Readable } from "node:stream";

/** Reads a Fetch body; `undefined` if it is longer than the limit, absent or broken. Never rejects. */
export async function fetchText(body: ReadableStream<Uint8Array> | null, limit: number): Promise<string | undefined> {
  if (body === null) return undefined;
  const reader = body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(parts).toString("utf8");
      length += value.length;
      if (length > limit) break;
      parts.push(value);
    }
    await reader.cancel();
  } catch {
    // The client went away.
  }
  return undefined;
}

/**
 * Reads the body of Node's request; `undefined` if it is longer than the limit, or broken. What is left of a long one is
 * not read, and the request can still be answered. Never rejects.
 */
export async function nodeText(request: Readable, limit: number): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      length += part.length;
      if (length > limit) return undefined;
      parts.push(part);
    }
  } catch {
    // The client went away.
    return undefined;
  }
  return Buffer.concat(parts).toString("utf8");
}

/** The members of a JSON object or of a form; `undefined` for anything else. Never throws. */
export function fieldsIn(
  text: string,
  type: string | null | undefined,
): { readonly [name: string]: unknown } | undefined {
  try {
    if (type?.includes("x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(text));
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as { readonly [name: string]: unknown }) : undefined;
  } catch {
    return undefined;
  }
}
