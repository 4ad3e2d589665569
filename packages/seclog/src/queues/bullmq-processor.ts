/**
 * Stores events in a team's own worker of BullMQ.
 *
 * The jobs of one source are stored one after the other in this process. A job whose predecessor is missing waits a bounded
 * time, since another process may have it. Then it depends on its sender: one that keeps its events until they are stored
 * sends them again from the stored position, which the job returns; one that does not (`confirm: "queued"`) has lost what
 * BullMQ lost, so the job is retried for some time, until the missing numbers are put on record and it is stored.
 */
import type { Buffer } from "node:buffer";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { monotonicNow, sleep } from "../runtime/timers.ts";
import { HandlerError } from "../ship/handler.ts";
import { type BullmqJob, bullmqError, jobMessage } from "./bullmq-connection.ts";
import { type DecodedEnvelope, decodeEnvelope, type EnvelopeSource } from "./envelope.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import type { QueueKey } from "./queue-key.ts";
import { configuredKeys, parseQueueKey } from "./queue-options.ts";

/** A source, and the name of the queue key that its events were sealed with. */
export interface SentSource extends EnvelopeSource {
  readonly sender: string;
}

/** What `relayStore()` of `seclog/postgres` returns, by its shape. */
export interface SecurityLogStore {
  position(sourceId: string, signal: AbortSignal): Promise<number>;
  store(
    batch: { readonly source: SentSource; readonly firstSeq: number; readonly records: readonly Uint8Array[] },
    signal: AbortSignal,
  ): Promise<number>;
  quarantine(
    record: { readonly source: SentSource; readonly seq: number; readonly reason: string; readonly record: Uint8Array },
    signal: AbortSignal,
  ): Promise<number>;
  pass(source: SentSource, firstSeq: number, lastSeq: number, reason: string, signal: AbortSignal): Promise<number>;
}

/** Options of {@link createSecurityLogProcessor}. */
export interface SecurityLogProcessorOptions {
  /** `relayStore({ url })` of `seclog/postgres`. Close it after the worker. */
  readonly store: SecurityLogStore;
  /**
   * The queue keys of the applications, as `bullmqHandler` has them; `false` accepts plain envelopes, which anyone who
   * reaches Redis can forge.
   * @default `SECLOG_QUEUE_KEY`, or the file that `SECLOG_QUEUE_KEY_FILE` names
   */
  readonly queueKey?: string | readonly string[] | false | undefined;
  /** The name of the keys' owner, which the database keeps for each source; as in `seclog work`. @default "default" */
  readonly sender?: string | undefined;
  /**
   * Milliseconds after which missing events of `confirm: "queued"` count as lost, while the database answers: longer than
   * jobs are retried. As `--lost-after` of `seclog work`, in seconds there. @default 120000
   */
  readonly lostAfter?: number | undefined;
}

const WHERE = "createSecurityLogProcessor";

/** How long a job waits for its predecessor, in milliseconds, and how often it looks. */
const EARLY_MS = 5_000;
const LOOK_MS = 50;

/** After so many starts of a job, a newer program or another key counts as missing. */
const UNREADABLE_STARTS = 5;

/** A job may wait for its retry for some seconds, and then for its own predecessor. */
const LEAST_LOST_AFTER_MS = 10_000;

/** How long one statement may take, in milliseconds. */
const STORE_MS = 60_000;

/** How many numbers can be put on record as lost in one statement, and for one message: each is a row. */
const MOST_PASSED = 100_000;
const MOST_LOST = 1_000_000;

/** The message claims a source that is not its sender's, or numbers that are not its own. */
const NOT_ITS_OWN: ReadonlySet<string> = new Set([
  "SECLOG_SOURCE_FENCED",
  "SECLOG_SOURCE_SENDER",
  "SECLOG_SOURCE_SEIZED",
  "SECLOG_QUEUE_LOST",
]);

/**
 * Makes the processor of a BullMQ `Worker` that stores what `bullmqHandler` sends: a job is completed when its events are
 * committed, retried while the database is away, and failed when it can never be stored.
 *
 * ```ts
 * const store = relayStore({ url: process.env.SECLOG_RELAY_URL });
 * const worker = new Worker("seclog", createSecurityLogProcessor({ store }), { connection, concurrency: 8 });
 * ```
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function createSecurityLogProcessor(
  options: SecurityLogProcessorOptions,
): (job: Pick<BullmqJob, "data" | "attemptsStarted">) => Promise<string> {
  rejectUnknownOptions(WHERE, options, ["store", "queueKey", "sender", "lostAfter"]);
  const { store, sender = "default" } = options;
  if (typeof (store as Partial<SecurityLogStore> | undefined)?.store !== "function") {
    throw configError(WHERE, "store", "is not a store: pass relayStore({ url }) of seclog/postgres");
  }
  const keys = configuredKeys(WHERE, options.queueKey).map((text) => parseQueueKey(WHERE, text));
  const lostAfter = wholeNumber(WHERE, "lostAfter", options.lostAfter, { default: 120_000, min: LEAST_LOST_AFTER_MS });
  const processor = new Processor(store, keys, keys.length === 0 ? "" : sender, lostAfter);
  return (job) => processor.process(job);
}

class Processor {
  readonly #store: SecurityLogStore;
  readonly #keys: readonly QueueKey[];
  readonly #sender: string;
  /** The last job of each source that has one. */
  readonly #lines = new Map<string, Promise<unknown>>();
  readonly #lostAfter: number;
  /** Since when the next event of a source has been missing while the database answered, on the monotonic clock. */
  readonly #missing = new Map<string, number>();

  constructor(store: SecurityLogStore, keys: readonly QueueKey[], sender: string, lostAfter: number) {
    this.#lostAfter = lostAfter;
    this.#store = store;
    this.#keys = keys;
    this.#sender = sender;
  }

  async process(job: Pick<BullmqJob, "data" | "attemptsStarted">): Promise<string> {
    const bytes = jobMessage(job);
    try {
      if (isPositionMessage(bytes)) return await this.#answer(bytes);
      const envelope = decodeEnvelope(bytes, { keys: this.#keys });
      const { id } = envelope.source;
      const seq = await this.#inLine(id, () => this.#deliver(envelope));
      return this.#answerOf(id, seq, 0, envelope.keyId);
    } catch (error) {
      throw judged(error, job.attemptsStarted);
    }
  }

  /** Answers a question, behind the jobs of its source that this process has. */
  async #answer(bytes: Buffer): Promise<string> {
    const { sourceId, nonce, kind, keyId } = decodePosition(bytes, this.#keys);
    if (kind !== "asked")
      throw new SeclogError("SECLOG_ENVELOPE", "an answer is in the queue, where only questions go");
    const position = await this.#inLine(sourceId, () => this.#store.position(sourceId, timeout()));
    return this.#answerOf(sourceId, position, nonce, keyId);
  }

  /** Signed with the key that its sender uses. */
  #answerOf(sourceId: string, seq: number, nonce: number, keyId: string | undefined): string {
    const keys = this.#keys.filter(({ id }) => id === keyId);
    return encodePosition({ kind: "stored", sourceId, seq, nonce }, keys).toString("base64");
  }

  /** Runs one job of a source at a time, in the order in which they came. */
  #inLine(sourceId: string, run: () => Promise<number>): Promise<number> {
    const done = (this.#lines.get(sourceId) ?? Promise.resolve()).then(run);
    const settled = done
      .catch(() => {})
      .then(() => {
        if (this.#lines.get(sourceId) === settled) this.#lines.delete(sourceId);
      });
    this.#lines.set(sourceId, settled);
    return done;
  }

  async #deliver(envelope: DecodedEnvelope): Promise<number> {
    const source = { ...envelope.source, sender: this.#sender };
    for (const end = monotonicNow() + EARLY_MS; ; await sleep(LOOK_MS)) {
      try {
        const stored = await this.#storeEnvelope(envelope, source);
        this.#missing.delete(source.id);
        return stored;
      } catch (error) {
        const early = error instanceof HandlerError && error.code === "SECLOG_BATCH_EARLY";
        // While the database is away, no worker can store what is missing, though one may have it.
        if (!early) this.#missing.delete(source.id);
        if (!early) throw error;
        const since = this.#missing.get(source.id) ?? monotonicNow();
        this.#missing.set(source.id, since);
        if (monotonicNow() < end) continue;
        // Its sender has them, and sends them again from here.
        if (!envelope.queued) return await this.#store.position(source.id, timeout());
        if (monotonicNow() - since < this.#lostAfter) throw error;
        await this.#pass(source, envelope.firstSeq - 1);
      }
    }
  }

  async #storeEnvelope(envelope: DecodedEnvelope, source: SentSource): Promise<number> {
    if (envelope.kind === "events") return this.#storeRecords(source, envelope.firstSeq, envelope.records);
    const { firstSeq: seq, reason, record } = envelope;
    return this.#store.quarantine({ source, seq, reason, record }, timeout());
  }

  /** Stores records; one that cannot be an event goes into quarantine. */
  async #storeRecords(source: SentSource, firstSeq: number, records: readonly Uint8Array[]): Promise<number> {
    try {
      return await this.#store.store({ source, firstSeq, records }, timeout());
    } catch (error) {
      if (!(error instanceof HandlerError) || error.kind !== "event") throw error;
      if (records.length > 1) {
        const half = records.length >> 1;
        await this.#storeRecords(source, firstSeq, records.slice(0, half));
        return this.#storeRecords(source, firstSeq + half, records.slice(half));
      }
      const [record = new Uint8Array()] = records;
      const reason = error.message.slice(0, 1_000);
      return this.#store.quarantine({ source, seq: firstSeq, reason, record }, timeout());
    }
  }

  /** What is missing before `lastSeq` is lost: BullMQ does not have it any more, and its sender keeps no copy. */
  async #pass(source: SentSource, lastSeq: number): Promise<void> {
    const position = await this.#store.position(source.id, timeout());
    if (lastSeq - position > MOST_LOST) {
      throw new SeclogError(
        "SECLOG_QUEUE_LOST",
        `event ${lastSeq + 1} of source ${source.id} would follow event ${position}: more numbers are missing than a queue loses`,
      );
    }
    const reason = `lost in the queue: event ${lastSeq + 1} came without it, and its sender keeps no copy (confirm: "queued")`;
    for (let from = position + 1; from <= lastSeq; from += MOST_PASSED) {
      await this.#store.pass(source, from, Math.min(lastSeq, from + MOST_PASSED - 1), reason, timeout());
    }
  }
}

/** A failure as BullMQ shall treat it: what can never be stored fails at once, and everything else is retried. */
function judged(error: unknown, starts: number): unknown {
  const code = (error as { readonly code?: unknown }).code;
  const unreadable = code === "SECLOG_ENVELOPE_KEY" || code === "SECLOG_ENVELOPE_VERSION";
  const forGood =
    code === "SECLOG_ENVELOPE" ||
    (unreadable && starts >= UNREADABLE_STARTS) ||
    (typeof code === "string" && NOT_ITS_OWN.has(code));
  return forGood ? bullmqError("UnrecoverableError", `${String(code)}: ${errorMessage(error)}`) : error;
}

function timeout(): AbortSignal {
  return AbortSignal.timeout(STORE_MS);
}
