/** Takes a request's events: reads the body, records them within limits, and responds when they are on disk. */
import type { IncomingMessage } from "node:http";
import { errorMessage, type SecurityLog } from "seclog";
import { BodyError, readBoundedBody } from "../../http/bounded-body.ts";
import type { Admission, Admitted } from "./admission.ts";
import type { BatchResult } from "./batch-result.ts";
import { bodyHash, type KeyedResults, keyOf } from "./keyed-results.ts";
import { Rates } from "./rates.ts";
import type { Received } from "./received-event.ts";
import { Room } from "./room.ts";
import type { TokenEntry } from "./token.ts";

/** Limits of one collector. */
export interface ReceiveLimits {
  /** The most bytes of a body, as sent and decompressed. @default 8 MiB and 16 MiB */
  readonly bodyBytes: number;
  /** The most events of one request. */
  readonly events: number;
  /** How many events a second each sender may send, over some seconds. */
  readonly rate: number;
}

/** What a receiver answers. */
export interface Answer {
  readonly status: number;
  /** What became of the events, if the request as a whole was taken. */
  readonly result?: BatchResult;
  readonly body: object;
  readonly headers?: { readonly [name: string]: string };
}

/** Reads the events of a body. @throws BodyError */
export type Reader = (body: Buffer) => readonly Received[];

/** What happened, for metrics and messages. */
export type ReceiveEvent =
  | { readonly kind: "received"; readonly receiver: string; readonly accepted: number; readonly refused: number }
  | { readonly kind: "repeated" | "full" | "busy"; readonly receiver: string };

/** What the bodies of all requests may take at once. */
const BODIES_BYTES = 128 * 1024 * 1024;
/** What decompressed bodies may take at once: a request waits for its turn. */
const PLAIN_BYTES = 64 * 1024 * 1024;
const PLAIN_FACTOR = 2;

/** Below this much left of the spool's limit, new requests wait outside. */
const HEADROOM_BYTES = 4 * 1024 * 1024;

/** A key of RFC draft-ietf-httpapi-idempotency-key-header: any short printable text. */
const KEY = /^[\x20-\x7e]{1,255}$/;

export class Receive {
  readonly #log: SecurityLog;
  readonly #admission: Admission;
  readonly #keys: KeyedResults;
  readonly #limits: ReceiveLimits;
  readonly #spoolBytes: number;
  readonly #onEvent: (event: ReceiveEvent) => void;
  readonly #rates: Rates;
  readonly #bodies = new Room(BODIES_BYTES);
  readonly #plain = new Room(PLAIN_BYTES);
  /** Keyed requests that are being recorded: a repetition waits for the first. */
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #forbidden = new Map<string, { count: number; at: number }>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #spooled = 0;

  constructor(options: {
    readonly log: SecurityLog;
    readonly admission: Admission;
    readonly keys: KeyedResults;
    readonly limits: ReceiveLimits;
    /** The spool's limit. */
    readonly spoolBytes: number;
    readonly onEvent: (event: ReceiveEvent) => void;
  }) {
    this.#log = options.log;
    this.#admission = options.admission;
    this.#keys = options.keys;
    this.#limits = options.limits;
    this.#spoolBytes = options.spoolBytes;
    this.#onEvent = options.onEvent;
    this.#rates = new Rates(options.limits.rate, Math.max(options.limits.rate * 5, options.limits.events));
  }

  /** Why nothing is taken at the moment; `undefined` if it is. */
  get full(): string | undefined {
    const now = performance.now();
    if (now - this.#lookedAt > LOOK_MS) {
      this.#lookedAt = now;
      this.#spooled = this.#log.health().spooledBytes;
    }
    if (this.#spooled + HEADROOM_BYTES < this.#spoolBytes) return undefined;
    return `the spool has ${this.#spooled} of at most ${this.#spoolBytes} bytes: the database is behind, or away`;
  }

  /**
   * Takes a request whose sender is known.
   *
   * @throws BodyError when the body cannot be read; the request's error when its sender went away
   */
  async take(request: IncomingMessage, sender: TokenEntry, receiver: string, read: Reader): Promise<Answer> {
    const key = request.headers["idempotency-key"];
    if (key !== undefined && !(typeof key === "string" && KEY.test(key))) {
      throw new BodyError(400, "an Idempotency-Key has 1 to 255 printable ASCII characters");
    }
    const full = this.full;
    if (full !== undefined) {
      this.#onEvent({ kind: "full", receiver });
      return unavailable(full, FULL_RETRY_SECONDS);
    }
    return await this.withBody(request, receiver, async (body) => {
      if (key === undefined) return await this.#record(sender, receiver, read(body));
      return await this.#keyed(keyOf(sender.id, key), body, sender, receiver, () => read(body));
    });
  }

  /**
   * Takes events of a protocol that acknowledges nothing.
   *
   * @returns `false` if there is no room, or the sender is too fast, and nothing was taken
   */
  takeNow(sender: TokenEntry, receiver: string, events: readonly Received[]): boolean {
    if (this.full !== undefined || this.#rates.take(sender.id, events.length) > 0) {
      this.#onEvent({ kind: "full", receiver });
      return false;
    }
    const { result, recorded, stopped } = this.#admission.admit(sender, receiver, events);
    if (result.forbidden > 0) this.#reportForbidden(sender, result.forbidden);
    this.#onEvent({ kind: "received", receiver, accepted: recorded, refused: result.refused });
    // What the last of the room did not hold is counted by the log, as any event that it drops.
    return stopped === undefined || recorded > 0;
  }

  /** Reads a body within the limits of memory, which it holds until `work` is done. */
  async withBody(request: IncomingMessage, receiver: string, work: (body: Buffer) => Promise<Answer>): Promise<Answer> {
    const { bodyBytes } = this.#limits;
    const announced = Number(request.headers["content-length"] ?? bodyBytes);
    const release = this.#bodies.tryTake(Math.min(announced, bodyBytes));
    if (release === undefined) {
      this.#onEvent({ kind: "busy", receiver });
      return unavailable("too many large requests at once", 1);
    }
    const plain = bodyBytes * PLAIN_FACTOR;
    let inflated = (): void => {};
    try {
      if (request.headers["content-encoding"] !== undefined) inflated = await this.#plain.take(plain);
      return await work(await readBoundedBody(request, { sent: bodyBytes, plain }));
    } finally {
      inflated();
      release();
    }
  }

  async #keyed(
    key: string,
    body: Buffer,
    sender: TokenEntry,
    receiver: string,
    read: () => readonly Received[],
  ): Promise<Answer> {
    while (this.#running.has(key)) await this.#running.get(key)?.catch(() => {});
    const hash = bodyHash(body);
    const known = this.#keys.find(key);
    if (known !== undefined && known.body !== hash) {
      return {
        status: 409,
        body: { error: "this Idempotency-Key was used for another body: use a new key for new events" },
      };
    }
    if (known !== undefined && known.recorded >= known.result.accepted) {
      this.#onEvent({ kind: "repeated", receiver });
      return answerOf(known.result, true);
    }
    const work = this.#record(sender, receiver, read(), { key, body: hash, skip: known?.recorded ?? 0 });
    this.#running.set(key, work);
    try {
      return await work;
    } finally {
      this.#running.delete(key);
    }
  }

  async #record(
    sender: TokenEntry,
    receiver: string,
    events: readonly Received[],
    keyed?: { readonly key: string; readonly body: string; readonly skip: number },
  ): Promise<Answer> {
    if (events.length > this.#limits.events) {
      throw new BodyError(413, `a request has at most ${this.#limits.events} events, this one has ${events.length}`);
    }
    const wait = this.#rates.take(sender.id, events.length);
    if (wait > 0) {
      return {
        status: 429,
        body: { error: `the token ${sender.name} sends more than ${this.#limits.rate} events a second` },
        headers: { "retry-after": `${wait}` },
      };
    }
    if (keyed !== undefined) {
      const { key, body, skip } = keyed;
      this.#keys.announce({ key, body, before: skip, ...this.#admission.foresee(sender, events, skip) });
    }
    const admitted = this.#admission.admit(sender, receiver, events, keyed?.skip);
    const { result, recorded, stopped } = admitted;
    try {
      await Promise.all([admitted.durable, keyed === undefined ? undefined : this.#keep(keyed, admitted)]);
    } catch (error) {
      if (keyed !== undefined) this.#keys.forget(keyed.key);
      return unavailable(`the events may not be on disk: ${errorMessage(error)}`, FULL_RETRY_SECONDS);
    }
    const lastRun = admitted.runs.at(-1);
    if (keyed !== undefined && lastRun !== undefined) this.#keys.mark(admitted.source, lastRun[0] + lastRun[1] - 1);
    const { refused, forbidden } = result;
    this.#onEvent({ kind: "received", receiver, accepted: recorded - (keyed?.skip ?? 0), refused });
    // A request that is refused as a whole is for capture to report.
    if (forbidden > 0 && result.accepted > 0) this.#reportForbidden(sender, forbidden);
    if (stopped === undefined) return answerOf(result);
    this.#onEvent({ kind: "full", receiver });
    const partial = { error: stopped.message, recorded };
    return { status: 503, body: partial, headers: { "retry-after": `${FULL_RETRY_SECONDS}` } };
  }

  #keep(
    keyed: { readonly key: string; readonly body: string; readonly skip: number },
    admitted: Admitted,
  ): Promise<void> {
    const { result, recorded, source, runs } = admitted;
    return this.#keys.keep(keyed.key, { body: keyed.body, recorded, result }, { before: keyed.skip, source, runs });
  }

  /** One event a minute for each sender: what it sends thousands of must not become thousands of ours. */
  #reportForbidden({ id, name }: TokenEntry, count: number): void {
    const now = performance.now();
    const before = this.#forbidden.get(id) ?? { count: 0, at: Number.NEGATIVE_INFINITY };
    const total = before.count + count;
    if (now - before.at < FORBIDDEN_MS) {
      this.#forbidden.set(id, { ...before, count: total });
      return;
    }
    this.#forbidden.set(id, { count: 0, at: now });
    this.#log.recordSecurityEvent("authz_fail", undefined, {
      actor: { id: name, type: "sender" },
      resource: "events of types that its token does not allow",
      count: total,
    });
  }
}

const LOOK_MS = 100;
const FORBIDDEN_MS = 60_000;
const FULL_RETRY_SECONDS = 5;

/** 202: recorded. 200: it was before. Without any accepted event, 403 if the token forbids them all, else 422. */
function answerOf(result: BatchResult, repeated = false): Answer {
  const { accepted, refused, forbidden, items } = result;
  const body = { accepted, refused, ...(refused > 0 && { items }) };
  if (accepted === 0 && refused > 0) return { status: forbidden === refused ? 403 : 422, body, result };
  return { status: repeated ? 200 : 202, body, result };
}

export function unavailable(message: string, seconds: number): Answer {
  return { status: 503, body: { error: message }, headers: { "retry-after": `${seconds}` } };
}
