/** Webhooks: records what fails to verify, and verifies HMAC signatures for senders without a library. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { isUint8Array } from "node:util/types";
import { SeclogError } from "../event/errors.ts";
import type { CaptureLog } from "./capture.ts";
import { DETECTED } from "./detectors.ts";
import { refusalOf } from "./refusal.ts";

export type { CaptureLog } from "./capture.ts";

/** Facts about a webhook beside its request. */
export interface WebhookFacts {
  /** The claimed sender: `"stripe"`, `"github"`, … */
  readonly provider?: string | undefined;
}

/**
 * Calls `verify` and returns its result; what it throws, or rejects with, is recorded as `webhook_signature_failure`
 * and rethrown. Works with any library that throws, such as Standard Webhooks and Stripe:
 *
 * ```ts
 * const event = verified(security, req, () => stripe.webhooks.constructEvent(req.body, req.headers["stripe-signature"],
 * secret)); ```
 *
 * Everything that `verify` throws counts, because what could not be verified is not verified; the exception is a
 * `SyntaxError`, which means a genuine message whose text is not JSON. Where a capture is installed and the error
 * reaches the framework, it causes no second event.
 */
export function verified<T>(
  log: CaptureLog,
  request: object | null | undefined,
  verify: () => T,
  facts: WebhookFacts = {},
): T {
  let result: T;
  try {
    result = verify();
  } catch (error) {
    recordFailure(log, request, error, facts);
    throw error;
  }
  if (!isThenable(result)) return result;
  return result.then(undefined, (error: unknown) => {
    recordFailure(log, request, error, facts);
    throw error;
  }) as T;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

function recordFailure(log: CaptureLog, request: object | null | undefined, error: unknown, facts: WebhookFacts): void {
  const reason = refusalOf(error)?.facts.reason ?? nameOf(error);
  if (reason === "SyntaxError") return;
  try {
    log.recordSecurityEvent(DETECTED.webhook, request, { ...facts, reason });
  } catch {
    // The caller receives the signature's error, not one of the log's.
  }
}

/** Not the message: an unknown library may put the payload there. */
function nameOf(error: unknown): string | undefined {
  try {
    const { name } = Object(error) as { readonly name?: unknown };
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

/** How a sender signs its messages. */
export interface HmacOptions {
  /** The shared secret, or several during a rotation, any of which is accepted. Text counts as UTF-8. */
  readonly secret: string | Uint8Array | readonly (string | Uint8Array)[];
  /**
   * The header with the signature, such as `x-hub-signature-256`. It may hold several, separated by commas or spaces.
   */
  readonly header: string;
  /** @default "sha256" */
  readonly algorithm?: "sha1" | "sha256" | "sha384" | "sha512" | undefined;
  /** @default "hex" */
  readonly encoding?: "hex" | "base64" | "base64url" | undefined;
  /**
   * The text before each signature, such as `sha256=`. Signatures with another prefix are skipped.
   * @default ""
   */
  readonly prefix?: string | undefined;
  /** For senders that sign the time, so that an old message cannot be replayed. */
  readonly timestamp?: HmacTimestamp | undefined;
  /**
   * The time in milliseconds since the Unix epoch.
   * @default Date.now
   */
  readonly clock?: (() => number) | undefined;
}

/** Where the time is, and how it is signed. */
export interface HmacTimestamp {
  /** The header with the time, in seconds since the Unix epoch. */
  readonly header: string;
  /** The signed text before the body, made from the header's text: for Slack ``(time) => `v0:${time}:` ``. */
  readonly signed: (timestamp: string) => string;
  /**
   * How many seconds the time may be off, either way.
   * @default 300
   */
  readonly tolerance?: number | undefined;
}

/** Node's `request.headers`, or the `Headers` of Fetch. */
export type HeaderSource =
  | { readonly get: (name: string) => string | null }
  | { readonly [name: string]: string | readonly string[] | undefined };

/** Returns when the signature is right, and throws otherwise. `body` is the text or the bytes as received. */
export type SignatureVerifier = (body: string | Uint8Array, headers: HeaderSource) => void;

/**
 * Makes a verifier for webhooks that are signed with an HMAC in a header (GitHub, Slack, Shopify, …), for senders
 * without a library of their own. Use it inside {@link verified}:
 *
 * ```ts
 * const github = hmacVerifier({ secret: process.env.GITHUB_SECRET, header: "x-hub-signature-256", prefix: "sha256=" });
 * app.post("/github", express.raw({ type: "*\/*" }), (req, res) => {
 *   verified(security, req, () => github(req.body, req.headers), { provider: "github" });
 * ```
 *
 * Signatures are compared in constant time (HMAC: RFC 2104).
 *
 * @throws SeclogError `SECLOG_CONFIG` for an empty secret or header. The verifier throws `SECLOG_WEBHOOK_SIGNATURE`,
 *   and a `TypeError` for a body that is already parsed: the bytes were signed.
 */
export function hmacVerifier(options: HmacOptions): SignatureVerifier {
  const { algorithm = "sha256", encoding = "hex", prefix = "", timestamp, clock = Date.now } = options;
  const secrets = Array.isArray(options.secret) ? options.secret : [options.secret];
  if (secrets.length === 0 || secrets.some((secret) => !isText(secret) || secret.length === 0)) {
    throw new SeclogError("SECLOG_CONFIG", "secret is empty: pass the secret that you share with the sender");
  }
  if (typeof options.header !== "string" || options.header === "") {
    throw new SeclogError("SECLOG_CONFIG", "header is missing: name the header that holds the signature");
  }
  const tolerance = timestamp?.tolerance ?? 300;
  if (!(tolerance > 0))
    throw new SeclogError("SECLOG_CONFIG", "timestamp.tolerance must be a number of seconds above 0");

  return (body, headers) => {
    if (!isText(body)) {
      throw new TypeError("the body must be the text or the bytes as received: use express.raw() or a raw body parser");
    }
    const header = headerOf(headers, options.header);
    if (header === undefined) throw refused(`the header ${options.header} is missing`);
    let signed = "";
    if (timestamp !== undefined) {
      const time = headerOf(headers, timestamp.header);
      if (time === undefined) throw refused(`the header ${timestamp.header} is missing`);
      if (!/^\d{1,12}$/.test(time)) throw refused("the time is not a number of seconds");
      const age = clock() / 1000 - Number(time);
      if (age > tolerance) throw refused("the message is too old");
      if (age < -tolerance) throw refused("the message is from the future");
      signed = timestamp.signed(time);
    }
    const texts = header.split(/[,\s]+/, MAXIMUM_SIGNATURES).filter((text) => text.startsWith(prefix));
    if (texts.length === 0) throw refused(`the header ${options.header} has no signature of the expected form`);
    let right = false;
    for (const secret of secrets) {
      const expected = createHmac(algorithm, secret).update(signed).update(body).digest(encoding);
      for (const text of texts) {
        const signature = text.slice(prefix.length);
        if (equalInConstantTime(encoding === "hex" ? signature.toLowerCase() : signature, expected)) right = true;
      }
    }
    if (!right) throw refused("no signature matches");
  };
}

/** More than any sender sends during a rotation, few enough that a header cannot cost much. */
const MAXIMUM_SIGNATURES = 16;

function refused(why: string): SeclogError {
  return new SeclogError("SECLOG_WEBHOOK_SIGNATURE", `the webhook's signature does not verify: ${why}`);
}

/** The length is not secret: that of a right signature is known. */
function equalInConstantTime(actual: string, expected: string): boolean {
  const a = Buffer.from(actual);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === "string" || isUint8Array(value);
}

function headerOf(headers: HeaderSource, name: string): string | undefined {
  const lower = name.toLowerCase();
  const value = typeof headers.get === "function" ? headers.get(lower) : (headers as NodeHeaders)[lower];
  return typeof value === "string" ? value : Array.isArray(value) ? value.join(",") : undefined;
}

type NodeHeaders = { readonly [name: string]: string | readonly string[] | undefined };
