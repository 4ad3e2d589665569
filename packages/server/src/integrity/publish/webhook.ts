import { createHash, createHmac } from "node:crypto";
import { SeclogError } from "seclog";
import { post, responseText } from "../../http/post.ts";
import { isLoopback } from "../../http/service.ts";
import { InputError } from "../../text/input-error.ts";
import type { SignedCheckpoint } from "../stored-tree.ts";
import type { Publisher } from "./publisher.ts";

/** The length of a Standard Webhooks secret, in bytes. */
const LEAST_SECRET_BYTES = 24;
const MOST_SECRET_BYTES = 64;

/**
 * POSTs each checkpoint as a message signed according to Standard Webhooks (https://www.standardwebhooks.com). A checkpoint
 * keeps its `webhook-id` however often it is sent.
 *
 * @param address https, or http to this machine
 * @param secret `whsec_` and Base64
 * @throws SeclogError `SECLOG_CONFIG` that quotes neither the secret nor the address's path, which may be secret too
 */
export function webhookPublisher(address: string, secret: string, now: () => number = Date.now): Publisher {
  const url = webhookUrl(address);
  const key = webhookKey(secret);
  let last: { readonly id: string; readonly body: string } | undefined;
  return {
    name: `webhook ${url.origin}`,
    async publish(checkpoint, _context, signal) {
      const id = messageId(checkpoint);
      // A retry sends the same bytes.
      if (last?.id !== id) last = { id, body: messageBody(checkpoint, now()) };
      const { body } = last;
      const time = String(Math.floor(now() / 1000));
      const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64");
      const headers = {
        "content-type": "application/json",
        "user-agent": "seclog",
        "webhook-id": id,
        "webhook-timestamp": time,
        "webhook-signature": `v1,${signature}`,
      };
      const response = await post(url, headers, body, signal);
      if (response.status < 200 || response.status > 299)
        throw new SeclogError("SECLOG_PUBLISH", responseText(response));
    },
  };
}

function messageId({ note, size }: SignedCheckpoint): string {
  const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
  return `msg_${size}_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
}

function messageBody({ origin, size, root, note }: SignedCheckpoint, at: number): string {
  return JSON.stringify({
    type: "seclog.checkpoint",
    timestamp: new Date(at).toISOString(),
    data: { origin, size, root: Buffer.from(root).toString("base64"), checkpoint: note },
  });
}

function webhookUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InputError((named) => `${named("webhook")} must be an https:// URL`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new InputError(
      (named) => `${named("webhook")}: the URL of ${url.host} contains a user, which is never sent: remove it`,
    );
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new InputError((named) => `${named("webhook")}: ${url.origin} is neither https nor this machine`);
  }
  return url;
}

function webhookKey(secret: string): Buffer {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const key = Buffer.from(encoded, "base64");
  if (key.length < LEAST_SECRET_BYTES || key.length > MOST_SECRET_BYTES) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `SECLOG_WEBHOOK_SECRET is not a Standard Webhooks secret: whsec_ and the Base64 of ${LEAST_SECRET_BYTES} to ${MOST_SECRET_BYTES} random bytes`,
    );
  }
  return key;
}
