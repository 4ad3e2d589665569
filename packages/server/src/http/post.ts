import { SeclogError } from "seclog";

/** What a server answered. */
export interface Posted {
  readonly status: number;
  /** As much as was wanted of it. */
  readonly body: string;
}

const MOST_ANSWER_BYTES = 64 * 1024;

/**
 * POSTs, follows no redirect, and reads at most 64 KiB of the answer.
 *
 * @throws whatever `fetch` throws; SeclogError `SECLOG_PUBLISH` for a longer answer
 */
export async function post(
  url: URL,
  headers: { readonly [name: string]: string },
  body: string,
  signal: AbortSignal,
): Promise<Posted> {
  // Followed, a redirect could lead to any server that this machine reaches.
  const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_ANSWER_BYTES) {
      throw new SeclogError("SECLOG_PUBLISH", `the answer has more than ${MOST_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.status, body: Buffer.concat(chunks).toString() };
}

/** A status that is not the one that was hoped for, with the beginning of what the server says of it. */
export function answered({ status, body }: Posted): string {
  const said = body.trim().slice(0, 200);
  const redirected = status >= 300 && status < 400 ? ": a redirect, which is not followed" : "";
  return `it answered ${status}${redirected}${said === "" ? "" : `: ${JSON.stringify(said)}`}`;
}
