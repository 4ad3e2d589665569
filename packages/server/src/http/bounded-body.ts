import type { IncomingMessage } from "node:http";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** Limits of {@link readBoundedBody}, in bytes. */
export interface BodyLimits {
  /** As sent. */
  readonly sent: number;
  /** After decompression. */
  readonly plain: number;
}

/** A request's body cannot be read: the status and the sentence of the response. */
export class BodyError extends Error {
  readonly status: 400 | 408 | 413 | 415;

  constructor(status: 400 | 408 | 413 | 415, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.status = status;
  }
}

/**
 * Reads a request's body, and decompresses gzip. Memory is bounded by the limits, whatever the body's header announces
 * or its compression would make of it.
 *
 * @throws BodyError
 */
export async function readBoundedBody(request: IncomingMessage, { sent, plain }: BodyLimits): Promise<Buffer> {
  const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding !== "identity" && encoding !== "gzip" && encoding !== "x-gzip") {
    throw new BodyError(415, `content-encoding ${JSON.stringify(encoding.slice(0, 40))}: send gzip, or nothing`);
  }
  if (Number(request.headers["content-length"] ?? 0) > sent) throw tooLarge(sent);
  const body = await collect(request, sent, () => tooLarge(sent));
  if (encoding === "identity") return body;
  const inflated = createGunzip();
  pipeline(Readable.from([body]), inflated, () => {});
  try {
    return await collect(inflated, plain, () => new BodyError(413, `a body has at most ${plain} bytes decompressed`));
  } catch (cause) {
    throw cause instanceof BodyError ? cause : new BodyError(400, "the body is not valid gzip", { cause });
  } finally {
    inflated.destroy();
  }
}

function tooLarge(most: number): BodyError {
  return new BodyError(413, `a body has at most ${most} bytes`);
}

async function collect(stream: Readable, most: number, refusal: () => BodyError): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaves the request's socket open: the response still has to go out.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > most) throw refusal();
    chunks.push(chunk as Buffer);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}
