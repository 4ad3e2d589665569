/**
 * The messages of one source on their way into the database, in the order of their numbers.
 *
 * Messages that follow each other are stored in one transaction. Two transactions are under way: PostgreSQL takes the rows
 * of the second while the first commits, and the store commits them in order. When one fails, the line waits for the other,
 * reads the position again and starts from there. A question is answered when all that came before it has been stored, or
 * cannot be: its predecessors are missing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failureOf, HandlerError } from "seclog/handler";
import type { RelaySource, RelayStore } from "seclog/postgres";
import type { DecodedEnvelope } from "seclog/queues";
import type { DeadReason } from "./consumer.ts";
import type { IntakeEvent } from "./intake-event.ts";

/** A message that is held. */
export interface Held {
  readonly envelope: DecodedEnvelope;
  readonly source: RelaySource;
  /** Bytes of its records. */
  readonly size: number;
  /** When it came, on the monotonic clock. */
  readonly since: number;
  /** Called once: it is stored, or goes back, or to the dead letters. Never rejects. */
  settle(how: "done" | "release" | DeadReason): Promise<void>;
}

/** Options of {@link SourceLine}. */
export interface SourceLineOptions {
  readonly store: RelayStore;
  readonly signal: AbortSignal;
  readonly earlyWaitMs: number;
  readonly lostAfterMs: number;
  readonly onEvent: (event: IntakeEvent) => void;
  /**
   * @param nonce of the question, 0 without one
   * @param keyId of the queue key that the sender used
   */
  readonly answer: (seq: number, nonce: number, keyId: string | undefined) => Promise<void>;
}

interface Transaction {
  readonly chosen: readonly Held[];
  /** The last number once it has committed. */
  readonly end: number;
  settled: boolean;
  done: Promise<void>;
}

interface Question {
  readonly nonce: number;
  readonly keyId: string | undefined;
  readonly settle: (how: "done" | "release") => Promise<void>;
}

/** The most events, and bytes of them, in one transaction. */
const MOST_EVENTS = 4_000;
const MOST_BYTES = 8 * 1024 * 1024;

/** Transactions of one source at a time. */
const UNDER_WAY = 2;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 15_000;

/** How soon a line looks whether another worker has stored what is missing; then after twice the time, and so on. */
const FIRST_LOOK_MS = 20;

/** How many numbers can be put on record as lost in one statement, and for one message: each is a row. */
const MOST_PASSED = 100_000;
const MOST_LOST = 1_000_000;

/** The relay refuses these for good: the message claims a source that is not its sender's, or numbers that have other events. */
const NOT_ITS_OWN: ReadonlySet<string> = new Set([
  "SECLOG_SOURCE_FENCED",
  "SECLOG_SOURCE_SENDER",
  "SECLOG_SOURCE_SEIZED",
]);

export class SourceLine {
  readonly #id: string;
  readonly #options: SourceLineOptions;
  readonly #held = new Set<Held>();
  #questions: Question[] = [];
  /** The last stored number, as far as is known; `undefined` before the database was asked. */
  #position: number | undefined;
  /** Since when the next number has been missing, on the monotonic clock. */
  #missingSince: number | undefined;
  #pauses = 0;
  #active = false;
  #running: Promise<void> = Promise.resolve();
  /** Settles when the sender and the engine have heard of what is stored. */
  #settling: Promise<unknown> = Promise.resolve();
  #wake: (() => void) | undefined;

  constructor(id: string, options: SourceLineOptions) {
    this.#id = id;
    this.#options = options;
  }

  get idle(): boolean {
    return !this.#active;
  }

  add(held: Held): void {
    this.#held.add(held);
    this.#start();
  }

  ask(nonce: number, keyId: string | undefined, settle: Question["settle"]): void {
    this.#questions.push({ nonce, keyId, settle });
    this.#start();
  }

  /** Ends the running transactions, and gives back what they have not committed. */
  async stop(): Promise<void> {
    this.#wake?.();
    await this.#running;
    await this.#settling;
    // All at once: an engine that is away lets each of them wait for a reply.
    await Promise.all([...this.#held, ...this.#questions].map((one) => one.settle("release")));
    this.#held.clear();
    this.#questions = [];
  }

  #start(): void {
    this.#wake?.();
    if (this.#active) return;
    this.#active = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal, store } = this.#options;
    const underWay: Transaction[] = [];
    while ((this.#held.size > 0 || this.#questions.length > 0 || underWay.length > 0) && !signal.aborted) {
      try {
        this.#position ??= await store.position(this.#id, signal);
        if (await this.#advance(underWay, this.#position)) this.#pauses = 0;
      } catch (error) {
        await this.#takeBack(underWay);
        // Another worker may have stored it meanwhile.
        this.#position = undefined;
        await this.#failed(error);
      }
    }
    if (underWay.length > 0) await this.#takeBack(underWay);
    // In the same turn as the check: what comes after it starts the next run.
    this.#active = false;
  }

  /** Waits for transactions, and holds again what they did not store. */
  async #takeBack(underWay: Transaction[]): Promise<void> {
    const outcomes = await Promise.allSettled(underWay.map(({ done }) => done));
    for (const [index, { chosen }] of underWay.splice(0).entries()) {
      if (outcomes[index]?.status === "rejected") for (const held of chosen) this.#held.add(held);
    }
  }

  /** One step. Returns whether something was stored, or nothing is wrong with waiting. */
  async #advance(underWay: Transaction[], position: number): Promise<boolean> {
    const last = underWay.at(-1);
    const next = underWay.length < UNDER_WAY ? this.#following(last?.end ?? position) : [];
    if (next.length > 0) {
      underWay.push(this.#begin(next, last?.end ?? position));
      return false;
    }
    const [first] = underWay;
    if (first === undefined) {
      if (!(await this.#answerQuestions(position)) && this.#held.size > 0) await this.#missing(position);
      return true;
    }
    // More may come that the second transaction can take.
    if (underWay.length < UNDER_WAY) await Promise.race([first.done, this.#woken()]);
    if (underWay.length === UNDER_WAY || first.settled) {
      await first.done;
      underWay.shift();
      return true;
    }
    return false;
  }

  #begin(chosen: readonly Held[], position: number): Transaction {
    for (const held of chosen) this.#held.delete(held);
    const end = Math.max(position, ...chosen.map(({ envelope }) => envelope.lastSeq));
    const transaction: Transaction = { chosen, end, settled: false, done: Promise.resolve() };
    transaction.done = this.#store(chosen, position, end).finally(() => {
      transaction.settled = true;
    });
    transaction.done.catch(() => {});
    return transaction;
  }

  /** Resolves when the next message comes. */
  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /**
   * Messages that follow each other without a gap, up to one transaction's worth: from one on that continues at the position,
   * or that it covers.
   */
  #following(position: number): Held[] {
    const sorted = [...this.#held].sort((a, b) => a.envelope.firstSeq - b.envelope.firstSeq);
    const chosen: Held[] = [];
    let [next, bytes] = [position + 1, 0];
    for (const held of sorted) {
      const { firstSeq, lastSeq, kind } = held.envelope;
      if (firstSeq > next) break;
      const first = chosen[0];
      if (first !== undefined) {
        const full = lastSeq - first.envelope.firstSeq >= MOST_EVENTS || bytes + held.size > MOST_BYTES;
        const differs = kind !== "events" || first.envelope.kind !== "events" || !sameSource(first.source, held.source);
        if (full || differs) break;
      }
      chosen.push(held);
      // Not from the position on: between a message that it covers and the next one, there would be a gap.
      next = Math.max(first === undefined ? 0 : next, lastSeq + 1);
      bytes += held.size;
    }
    return chosen;
  }

  /** Stores messages in one transaction. A message that claims what is not its own is buried, and the others follow. */
  async #store(chosen: readonly Held[], position: number, end: number): Promise<void> {
    const [first] = chosen as [Held];
    const began = performance.now();
    let stored: number;
    try {
      if (first.envelope.kind === "quarantined") stored = await this.#quarantine(first);
      else stored = await this.#storeRecords(first.source, first.envelope.firstSeq, recordsOf(chosen));
    } catch (error) {
      const { code, message } = failureOf(error);
      if (!NOT_ITS_OWN.has(code)) throw error;
      await first.settle({ code, message });
      for (const held of chosen.slice(1)) this.#held.add(held);
      // What was begun behind it does not follow any more.
      this.#position = undefined;
      return;
    }
    if (stored < end) throw new HandlerError("retry", `source ${this.#id} is stored up to ${stored}, not ${end}`);
    this.#position = Math.max(this.#position ?? 0, stored);
    this.#missingSince = undefined;
    this.#options.onEvent({ kind: "stored", events: end - position, ms: performance.now() - began });
    // The sender first: its events may leave the spool, and its next ones come sooner. The next batch waits for neither.
    this.#settling = Promise.all([
      this.#settling,
      this.#options.answer(stored, 0, chosen.at(-1)?.envelope.keyId),
      ...chosen.map((held) => held.settle("done")),
    ]);
  }

  /** Stores records; when one of them cannot be an event, finds it and puts it into quarantine. */
  async #storeRecords(source: RelaySource, firstSeq: number, records: readonly Uint8Array[]): Promise<number> {
    const { store, signal, onEvent } = this.#options;
    try {
      return await store.store({ source, firstSeq, records }, signal);
    } catch (error) {
      const failure = failureOf(error);
      if (failure.kind !== "event") throw failure;
      if (records.length > 1) {
        const half = records.length >> 1;
        await this.#storeRecords(source, firstSeq, records.slice(0, half));
        return this.#storeRecords(source, firstSeq + half, records.slice(half));
      }
      const reason = failure.message.slice(0, 1_000);
      const record = records[0] ?? new Uint8Array();
      const position = await store.quarantine({ source, seq: firstSeq, reason, record }, signal);
      onEvent({ kind: "quarantined", sourceId: this.#id, seq: firstSeq, reason });
      return position;
    }
  }

  async #quarantine({ envelope, source }: Held): Promise<number> {
    if (envelope.kind !== "quarantined") throw new Error("not a record in quarantine");
    const { firstSeq: seq, reason, record } = envelope;
    const position = await this.#options.store.quarantine({ source, seq, reason, record }, this.#options.signal);
    this.#options.onEvent({ kind: "quarantined", sourceId: this.#id, seq, reason });
    return position;
  }

  /** Answers the questions, once nothing is held that can be stored. Returns whether there was one. */
  async #answerQuestions(position: number): Promise<boolean> {
    const due = this.#questions;
    this.#questions = [];
    for (const { nonce, keyId, settle } of due) {
      await this.#options.answer(position, nonce, keyId);
      await settle("done");
    }
    return due.length > 0;
  }

  /** Everything that is held has a predecessor that is missing. */
  async #missing(position: number): Promise<void> {
    const { earlyWaitMs, lostAfterMs, onEvent, signal } = this.#options;
    this.#missingSince ??= performance.now();
    const oldest = Math.min(...[...this.#held].map(({ since }) => since));
    const waited = performance.now() - oldest;
    if (waited < earlyWaitMs) {
      // The predecessor may have gone to another worker, as every second one does in an engine without partitions.
      await this.#wait(Math.min(earlyWaitMs - waited, FIRST_LOOK_MS + waited));
      this.#position = undefined;
      return;
    }
    const current = await this.#options.store.position(this.#id, signal);
    if (current > position) {
      this.#position = current;
      this.#missingSince = undefined;
      return;
    }
    const [first] = [...this.#held].sort((a, b) => a.envelope.firstSeq - b.envelope.firstSeq) as [Held];
    if (first.envelope.queued && performance.now() - this.#missingSince >= lostAfterMs) {
      const missing = first.envelope.firstSeq - 1 - position;
      if (missing <= MOST_LOST) return this.#pass(first, position);
      this.#held.delete(first);
      const message = `event ${first.envelope.firstSeq} of source ${this.#id} would follow event ${position}: ${missing} numbers are missing, more than a queue loses`;
      return first.settle({ code: "SECLOG_QUEUE_LOST", message });
    }
    for (const held of [...this.#held].filter(({ since }) => performance.now() - since >= earlyWaitMs)) {
      onEvent({ kind: "early" });
      this.#held.delete(held);
      await held.settle(held.envelope.queued ? "release" : "done");
    }
  }

  /** The queue has lost what comes before this message, and its sender has no copy. */
  async #pass({ envelope, source }: Held, position: number): Promise<void> {
    const lastSeq = envelope.firstSeq - 1;
    const reason = `lost in the queue: event ${envelope.firstSeq} came without it, and its sender keeps no copy (confirm: "queued")`;
    for (let from = position + 1; from <= lastSeq; from += MOST_PASSED) {
      const to = Math.min(lastSeq, from + MOST_PASSED - 1);
      this.#position = await this.#options.store.pass(source, from, to, reason, this.#options.signal);
      this.#options.onEvent({ kind: "lost", sourceId: this.#id, firstSeq: from, lastSeq: to });
    }
    this.#missingSince = undefined;
  }

  async #failed(error: unknown): Promise<void> {
    if (this.#options.signal.aborted) return;
    // While the database was away, no worker could store what is missing, though one may have it.
    this.#missingSince = undefined;
    this.#options.onEvent({ kind: "trouble", error: failureOf(error) });
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses++, 16));
    await this.#wait(longest / 2 + Math.random() * (longest / 2), false);
  }

  /** Waits, until a message comes as well if `early`. */
  async #wait(ms: number, early = true): Promise<void> {
    const { signal } = this.#options;
    const woken = new AbortController();
    this.#wake = early ? () => woken.abort() : undefined;
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {});
    this.#wake = undefined;
  }
}

function sameSource(a: RelaySource, b: RelaySource): boolean {
  return a.keyHash === b.keyHash && a.sender === b.sender && a.epoch === b.epoch;
}

/** The records of messages that follow each other, without those that come twice. */
function recordsOf(chosen: readonly Held[]): Uint8Array[] {
  const records: Uint8Array[] = [];
  let next = chosen[0]?.envelope.firstSeq ?? 0;
  for (const { envelope } of chosen) {
    if (envelope.kind !== "events") continue;
    // Each record's number is its place.
    if (envelope.firstSeq > next)
      throw new Error(`events ${next} to ${envelope.firstSeq - 1} are missing between messages`);
    records.push(...envelope.records.slice(Math.max(0, next - envelope.firstSeq)));
    next = Math.max(next, envelope.lastSeq + 1);
  }
  return records;
}
