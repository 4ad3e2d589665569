/**
 * The handler of every engine: batches become envelopes, which go to the engine in order, and a worker stores them.
 *
 * With `confirm: "stored"`, a batch resolves when a worker says that its events are committed. The spool keeps them until
 * then, so an engine that loses everything costs nothing. Nothing is sent again on a mere suspicion, since workers that
 * are down for an hour would find the same events many times. Instead, when nothing has moved for a while, the handler
 * asks where the source stands. The question travels through the queue behind the envelopes, and a worker answers it after
 * what came before. An answer below what was sent then says that the rest is lost: it is sent again from there. A question
 * that is lost with the queue is repeated.
 *
 *   sent ≥ stored. Only an answer lowers `sent`; only an answer raises `stored`.
 *
 * With `confirm: "queued"`, a batch resolves when the engine has acknowledged it, and what the engine loses after that is
 * lost: the worker finds the hole, and puts it on record.
 */
import { randomInt } from "node:crypto";
import { errorMessage } from "../event/errors.ts";
import { monotonicNow, nextTurn, sleep } from "../runtime/timers.ts";
import {
  type BatchSource,
  type EventBatch,
  type FailureKind,
  HandlerError,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "../ship/handler.ts";
import { type EncodeOptions, type Envelope, encodeEnvelopes, encodeQuarantined } from "./envelope.ts";
import { NoReply, withinTime } from "./no-reply.ts";
import { decodePosition, encodePosition } from "./position.ts";
import type { QueueSettings } from "./queue-options.ts";

/** An open connection to an engine. */
export interface QueueConnection {
  /** The largest message that the engine takes, in bytes. */
  readonly maxBytes: number;
  /** Whether it is of no use any more, for a client that does not reconnect: the next call opens another one. */
  readonly closed?: boolean;
  /** Resolves when the engine has acknowledged the message. Messages of one source keep their order. */
  send(sourceId: string, message: Uint8Array, signal: AbortSignal): Promise<void>;
  /** The newest position message about a source, for an engine that keeps it. */
  poll?(sourceId: string): Promise<Uint8Array | undefined>;
  /** Resolves when every later position message about a source will be passed on, for an engine that pushes them. */
  watch?(sourceId: string, onPosition: (message: Uint8Array) => void): Promise<void>;
  close(): Promise<void>;
}

/** How to connect to an engine. */
export interface QueueEngine {
  /** Its name in messages, such as `Redis`. */
  readonly title: string;
  /** Connects. Rejects when the engine cannot be reached; the next batch tries again. */
  open(): Promise<QueueConnection>;
  /** What a failure of the engine means. @default `"retry"` */
  kindOf?(error: unknown): FailureKind;
}

/** How often positions are polled while a batch waits, in milliseconds. */
const POLL_MS = 20;

/** How long nothing may be stored before the handler asks, in milliseconds: at first, and at most. */
const FIRST_ASK_MS = 2_000;
const LONGEST_ASK_MS = 30_000;

/** How long the engine may take to acknowledge a message, in milliseconds. */
const SEND_MS = 30_000;

const IN_FLIGHT = 6;

/** A source as this handler knows it. */
interface SentSource {
  readonly id: string;
  /** Every event up to this number is with the engine or stored; `undefined` before the first batch. */
  sent: number | undefined;
  stored: number;
  /** Settles when the batches before have been sent. */
  sending: Promise<unknown>;
  readonly waiting: Set<() => void>;
  /** The latest loss: batches that waited before it reject with it, and come again. */
  loss: { readonly count: number; readonly error: HandlerError | undefined };
  /** The latest question: what had been sent before it. */
  asked: { readonly nonce: number; readonly sent: number } | undefined;
  askAfter: number;
  progressAt: number;
  watched: boolean;
  observing: boolean;
  /** The last failure to ask or to read an answer. */
  trouble: string | undefined;
}

/** Makes the handler of an engine. */
export function queueHandler(
  engine: QueueEngine,
  settings: QueueSettings,
  worker?: SecurityEventHandler["worker"],
): SecurityEventHandler {
  return new QueueHandler(engine, settings, worker);
}

class QueueHandler implements SecurityEventHandler {
  readonly name: string;
  readonly required: boolean;
  readonly inFlight: number = IN_FLIGHT;
  readonly batchSize: number;
  declare readonly worker?: { readonly module: string; readonly options: unknown };
  readonly #engine: QueueEngine;
  readonly #settings: QueueSettings;
  readonly #sources = new Map<string, SentSource>();
  #connection: Promise<QueueConnection> | undefined;
  #closed = false;

  constructor(engine: QueueEngine, settings: QueueSettings, worker: SecurityEventHandler["worker"]) {
    this.#engine = engine;
    this.#settings = settings;
    this.name = settings.name;
    this.required = settings.required;
    this.batchSize = settings.batchSize;
    if (worker !== undefined) this.worker = worker;
  }

  handle(batch: EventBatch, signal: AbortSignal): Promise<void> {
    return this.#deliver(batch.source, batch.firstSeq, batch.lastSeq, signal, (options) =>
      encodeEnvelopes(batch, options),
    );
  }

  quarantine(record: QuarantinedRecord, signal: AbortSignal): Promise<void> {
    return this.#deliver(record.source, record.seq, record.seq, signal, (options) => [
      encodeQuarantined(record, options),
    ]);
  }

  /** Asks a worker where the source stands. An engine that only acknowledges cannot be asked, and is believed. */
  async confirm(batchSource: BatchSource, signal: AbortSignal): Promise<void> {
    if (this.#settings.confirm === "queued") return;
    const source = this.#source(batchSource.id);
    try {
      const connection = await this.#connected(source);
      source.sent = Math.max(source.sent ?? 0, batchSource.acknowledged);
      await this.#ask(connection, source);
      await this.#stored(source, batchSource.acknowledged, signal);
    } catch (error) {
      if (error !== source.loss.error) throw this.#failure(error, source);
      throw new HandlerError(
        "destination",
        `${this.#engine.title}: the workers' database has source ${source.id} up to ${source.stored}, but the spool's cursor says ` +
          `${batchSource.acknowledged} was stored: it is an older copy, or the cursor was edited; see docs/operations.md`,
        { code: "SECLOG_STORE_BEHIND" },
      );
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const source of this.#sources.values()) this.#wake(source);
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    await connection?.close();
  }

  async #deliver(
    batchSource: BatchSource,
    firstSeq: number,
    lastSeq: number,
    signal: AbortSignal,
    encode: (options: EncodeOptions) => readonly Envelope[],
  ): Promise<void> {
    const source = this.#source(batchSource.id);
    try {
      const connection = await this.#connected(source);
      const { keys, confirm } = this.#settings;
      const turn = source.sending.then(async () => {
        source.sent ??= Math.max(firstSeq - 1, source.stored);
        if (firstSeq > source.sent + 1) throw new HandlerError("retry", "the batch before this one was not sent");
        if (lastSeq <= source.sent) return;
        for (const part of encode({ maxBytes: connection.maxBytes, keys, queued: confirm === "queued" })) {
          if (part.lastSeq <= source.sent) continue;
          await this.#send(connection, source, part.bytes, signal);
          source.sent = part.lastSeq;
          source.progressAt = monotonicNow();
        }
      });
      source.sending = turn.catch(() => {});
      await turn;
      if (confirm === "stored") await this.#stored(source, lastSeq, signal);
    } catch (error) {
      throw this.#failure(error, source);
    }
  }

  /** Resolves when the source is stored up to `seq`. */
  async #stored(source: SentSource, seq: number, signal: AbortSignal): Promise<void> {
    const deadline = monotonicNow() + this.#settings.storedTimeout;
    const { count } = source.loss;
    while (source.stored < seq) {
      if (source.loss.count !== count) throw source.loss.error;
      if (this.#closed) throw closed(this.#engine.title);
      if (signal.aborted || monotonicNow() >= deadline) throw unanswered(this.#engine.title, source, seq);
      await new Promise<void>((resolve) => {
        source.waiting.add(resolve);
        void this.#observe(source);
      });
    }
  }

  /** Follows a source's position, and asks for it when nothing moves, while a batch waits. */
  async #observe(source: SentSource): Promise<void> {
    if (source.observing) return;
    source.observing = true;
    source.progressAt = monotonicNow();
    source.askAfter = FIRST_ASK_MS;
    try {
      while (source.waiting.size > 0 && !this.#closed) {
        await this.#look(source);
        // Those who still wait see whether their time is up.
        await sleep(POLL_MS, undefined, { ref: false });
        this.#wake(source);
        await nextTurn();
      }
    } finally {
      source.observing = false;
    }
  }

  async #look(source: SentSource): Promise<void> {
    let connection: QueueConnection | undefined;
    try {
      connection = await this.#connected(source);
      const message = await connection.poll?.(source.id);
      if (message !== undefined) this.#heard(source, message);
      if (monotonicNow() - source.progressAt <= source.askAfter) return;
      source.progressAt = monotonicNow();
      source.askAfter = Math.min(LONGEST_ASK_MS, source.askAfter * 2);
      await this.#ask(connection, source);
    } catch (error) {
      source.trouble = errorMessage(error);
      if (error instanceof NoReply && connection !== undefined) await this.#drop(connection);
    }
  }

  /** Leaves a connection that is or may be dead: the next call opens another one. */
  async #drop(dead: QueueConnection): Promise<void> {
    const opening = this.#connection;
    // Another call may have left it already, and opened the next one.
    if ((await opening?.catch(() => undefined)) !== dead || this.#connection !== opening) return;
    this.#connection = undefined;
    for (const source of this.#sources.values()) source.watched = false;
    dead.close().catch(() => {});
  }

  async #ask(connection: QueueConnection, source: SentSource): Promise<void> {
    // Random, so that an answer to an earlier process of this source is not taken for one to this.
    const nonce = randomInt(1, 2 ** 48 - 1);
    source.asked = { nonce, sent: source.sent ?? 0 };
    const message = encodePosition({ kind: "asked", sourceId: source.id, seq: 0, nonce }, this.#settings.keys);
    await this.#send(connection, source, message, AbortSignal.timeout(SEND_MS));
  }

  async #send(
    connection: QueueConnection,
    { id }: SentSource,
    message: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const failure = (): Error => new NoReply(`it did not acknowledge a message within ${SEND_MS / 1000} s`);
    try {
      await withinTime(connection.send(id, message, signal), SEND_MS, failure);
    } catch (error) {
      if (error instanceof NoReply) await this.#drop(connection);
      throw error;
    }
  }

  /** A position message has come. */
  #heard(source: SentSource, bytes: Uint8Array): void {
    let answer: ReturnType<typeof decodePosition>;
    try {
      answer = decodePosition(bytes, this.#settings.keys);
    } catch (error) {
      source.trouble = errorMessage(error);
      return;
    }
    if (answer.kind !== "stored" || answer.sourceId !== source.id) return;
    if (answer.seq > source.stored) {
      source.stored = answer.seq;
      source.progressAt = monotonicNow();
      source.askAfter = FIRST_ASK_MS;
    }
    const { asked } = source;
    if (asked !== undefined && answer.nonce === asked.nonce) {
      source.asked = undefined;
      source.askAfter = FIRST_ASK_MS;
      if (answer.seq < asked.sent) this.#lost(source, answer.seq);
    }
    this.#wake(source);
  }

  /** What was sent beyond `seq` did not reach a worker. */
  #lost(source: SentSource, seq: number): void {
    const { sent = seq } = source;
    source.sent = seq;
    const lost = new HandlerError(
      "retry",
      `${this.#engine.title}: the queue no longer has the events ${seq + 1} to ${sent} of source ${source.id}, and no worker has stored them: they are sent again`,
      { code: "SECLOG_QUEUE_LOST" },
    );
    lost.stored = source.stored;
    source.loss = { count: source.loss.count + 1, error: lost };
  }

  #wake(source: SentSource): void {
    const waiting = [...source.waiting];
    source.waiting.clear();
    for (const wake of waiting) wake();
  }

  #source(id: string): SentSource {
    let source = this.#sources.get(id);
    if (source === undefined) {
      source = {
        id,
        sent: undefined,
        stored: 0,
        sending: Promise.resolve(),
        waiting: new Set(),
        loss: { count: 0, error: undefined },
        asked: undefined,
        askAfter: FIRST_ASK_MS,
        progressAt: monotonicNow(),
        watched: false,
        observing: false,
        trouble: undefined,
      };
      this.#sources.set(id, source);
    }
    return source;
  }

  /** The connection, on which the source's positions are heard. */
  async #connected(source: SentSource): Promise<QueueConnection> {
    if (this.#closed) throw closed(this.#engine.title);
    this.#connection ??= this.#engine.open();
    const opening = this.#connection;
    let connection: QueueConnection;
    try {
      connection = await opening;
    } catch (error) {
      if (this.#connection === opening) this.#connection = undefined;
      throw error;
    }
    if (connection.closed) {
      await this.#drop(connection);
      return this.#connected(source);
    }
    if (source.watched || this.#settings.confirm === "queued") return connection;
    try {
      await connection.watch?.(source.id, (message) => this.#heard(source, message));
    } catch (error) {
      await this.#drop(connection);
      throw error;
    }
    source.watched = this.#connection === opening;
    return connection;
  }

  #failure(error: unknown, source: SentSource): HandlerError {
    const failure =
      error instanceof HandlerError
        ? error
        : new HandlerError(
            this.#engine.kindOf?.(error) ?? "retry",
            `${this.#engine.title}: ${withoutSecrets(errorMessage(error))}`,
            { cause: error },
          );
    if (this.#settings.confirm === "stored") failure.stored = source.stored;
    return failure;
  }
}

function unanswered(title: string, source: SentSource, seq: number): HandlerError {
  const trouble = source.trouble === undefined ? "" : ` (${withoutSecrets(source.trouble)})`;
  return new HandlerError(
    "retry",
    `${title}: no worker has stored event ${seq} of source ${source.id} yet, the last stored is ${source.stored}${trouble}: is seclog work running, with this queue and key?`,
    { code: "SECLOG_QUEUE_UNANSWERED" },
  );
}

function closed(title: string): HandlerError {
  return new HandlerError("retry", `${title}: the handler is closed`);
}

/** Clients repeat the URL that they could not reach. */
function withoutSecrets(message: string): string {
  return message.replace(/(\w+:\/\/)[^\s@/]*@/g, "$1");
}
