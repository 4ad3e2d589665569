/** A webhook: batches of events, signed as Standard Webhooks (https://www.standardwebhooks.com) defines. */
import { Buffer } from "node:buffer";
import { createHmac, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { eventToJson } from "../event/encode.ts";
import { configError } from "../event/options.ts";
import { ocsfEvent } from "../formats/ocsf.ts";
import { wallNow } from "../runtime/timers.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { type HttpHandler, httpHandler } from "./http/http-handler.ts";
import type { HttpHandlerOptions } from "./http/http-options.ts";
import { isSuccess } from "./http/send.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link webhookHandler}. */
export interface WebhookHandlerOptions extends HttpHandlerOptions {
  /**
   * Signs the messages: `whsec_` and the Base64 of 24 to 64 random bytes, which the receiver has too, or `whsk_` and the
   * Base64 of an Ed25519 private key, whose public key the receiver has. Several, separated by spaces, while one replaces
   * another.
   */
  readonly secret: string;
  /**
   * How the events of a message are written: with the table's column names, or as OCSF 1.8.
   * @default "seclog"
   */
  readonly format?: "seclog" | "ocsf" | undefined;
}

const WHERE = "webhookHandler";

/** The receiver's word that it is gone for good. */
const GONE = 410;

type Signer = (content: string) => string;

const KIND: HttpHandler<WebhookHandlerOptions> = {
  where: WHERE,
  module: "seclog:webhook",
  options: ["secret", "format"],
  name: "webhook",
  batchSize: 100,
  open({ secret, format = "seclog" }, sender) {
    if (format !== "seclog" && format !== "ocsf") {
      throw configError(WHERE, "format", `must be "seclog" or "ocsf", not ${JSON.stringify(format)}`);
    }
    const signers = signersOf(secret);
    let gone = false;
    return async (events, { source, firstSeq, lastSeq }, signal) => {
      const goneError = (): HandlerError =>
        new HandlerError(
          "destination",
          `${sender.place} answered 410, Gone: it takes no more webhooks; remove the handler`,
        );
      if (gone) throw goneError();
      const written = events.map((event) =>
        format === "ocsf" ? JSON.stringify(ocsfEvent(event)) : eventToJson(event),
      );
      // The batch's own time, so that a repetition has the same bytes.
      const time = events[0]?.occurredAt ?? "";
      const body = `{"type":"seclog.events","timestamp":${JSON.stringify(time)},"data":{"events":[${written.join(",")}]}}`;
      const id = `msg_${source.id}_${firstSeq}_${lastSeq}`;
      const timestamp = String(Math.floor(wallNow() / 1000));
      const headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signers.map((one) => one(`${id}.${timestamp}.${body}`)).join(" "),
      };
      const answer = await sender.send({ headers, body }, signal);
      if (answer.status === GONE) {
        gone = true;
        throw goneError();
      }
      if (!isSuccess(answer)) throw sender.refusal(answer);
    };
  },
};

/**
 * Sends events to a webhook, in batches: `{"type":"seclog.events","timestamp":…,"data":{"events":[…]}}`. The `webhook-id`
 * is that of the batch, the same however often it is sent, and each event has its own `id`. A receiver that answers 410
 * gets nothing more until the process starts again; `retry-after` is honoured.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option and never quoting the secret
 */
export function webhookHandler(options: WebhookHandlerOptions): SecurityEventHandler {
  // Receivers of Standard Webhooks verify the bytes that arrive, and few decompress them.
  return httpHandler(KIND, { ...options, gzip: options.gzip ?? false });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: WebhookHandlerOptions): SecurityEventHandler {
  return webhookHandler(options);
}

function signersOf(secret: unknown): readonly Signer[] {
  const parts = typeof secret === "string" ? secret.split(" ").filter((part) => part !== "") : [];
  const signers = parts.map((part) => sharedSecret(part) ?? privateKey(part));
  if (signers.length > 0 && signers.every((one) => one !== undefined)) return signers as readonly Signer[];
  throw configError(
    WHERE,
    "secret",
    "is not one of Standard Webhooks: whsec_ and the Base64 of 24 to 64 random bytes, or whsk_ and an Ed25519 private key",
  );
}

/** `v1`: HMAC-SHA256. */
function sharedSecret(text: string): Signer | undefined {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const key = Buffer.from(encoded, "base64");
  if (key.length < 24 || key.length > 64) return undefined;
  return (content) => `v1,${createHmac("sha256", key).update(content).digest("base64")}`;
}

/** PKCS 8 of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** `v1a`: Ed25519. The key is its seed, alone or before the public key. */
function privateKey(text: string): Signer | undefined {
  const [, encoded = ""] = /^whsk_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.length !== 32 && bytes.length !== 64) return undefined;
  const der = Buffer.concat([PKCS8, bytes.subarray(0, 32)]);
  const key: KeyObject = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return (content) => `v1a,${sign(null, Buffer.from(content), key).toString("base64")}`;
}
