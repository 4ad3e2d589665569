/** POSTs to other parties' servers, with a bound on what is read of a response. */
import { SeclogError } from "seclog";

/** A server's response to a POST. */
export interface PostResponse {
  readonly status: number;
  readonly body: string;
}

const MOST_RESPONSE_BYTES = 64 * 1024;

/**
 * POSTs, follows no redirect, and reads at most 64 KiB of the response.
 *
 * @throws SeclogError `SECLOG_PUBLISH` for a longer response; otherwise the errors of `fetch`
 */
export async function post(
  url: URL,
  headers: { readonly [name: string]: string },
  body: string,
  signal: AbortSignal,
): Promise<PostResponse> {
  // Following a redirect could reach any server that this machine can.
  const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_RESPONSE_BYTES) {
      throw new SeclogError("SECLOG_PUBLISH", `the response has more than ${MOST_RESPONSE_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.status, body: Buffer.concat(chunks).toString() };
}

/** Describes a response with an unexpected status, with the beginning of its body. */
export function responseText({ status, body }: PostResponse): string {
  const quoted = body.trim().slice(0, 200);
  const redirected = status >= 300 && status < 400 ? ": a redirect, which is not followed" : "";
  return `it responded with ${status}${redirected}${quoted === "" ? "" : `: ${JSON.stringify(quoted)}`}`;
}
