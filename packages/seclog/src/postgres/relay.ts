/**
 * `relayStore`: stores what comes out of a queue, of any source, without having the sources' keys
 * (docs/design/envelope.md, "How a relay advances a source").
 *
 * Other processes store events of the same sources, and a queue delivers twice and out of order. So a call trusts what
 * this process knows of a position only when it continues the call before it; any other call reads the position first,
 * and so does a call that collided with another process.
 *
 * What the position covers is always confirmed by its ids, even where this process stored the number itself: the same
 * number may come from another sender with another event, or after it was passed as lost.
 *
 * A forged envelope registers nothing: the first record is checked before anything is asked of the database, and an
 * unknown source is registered in the transaction that stores its first events, after all of them were checked.
 */
import { rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { HandlerError } from "../ship/handler.ts";
import { connectionConfig, secretUrl, type TlsOption } from "./connection-config.ts";
import { Connections } from "./connections.ts";
import { CopyRows } from "./copy-rows.ts";
import { errorCode, toHandlerError } from "./failure.ts";
import { RecordError } from "./line-reader.ts";
import type { Session } from "./session.ts";
import { type OpenSource, type SourceStatements, SourceStore } from "./source-store.ts";

/** Options of {@link relayStore}. */
export interface RelayStoreOptions {
  /** The relay's URL, `postgresql://user:password@host/database`. @default `SECLOG_RELAY_URL` */
  readonly url?: string | undefined;
  /** A file with the URL in it. @default `SECLOG_RELAY_URL_FILE` */
  readonly urlFile?: string | undefined;
  /** See {@link TlsOption}. @default the URL's `sslmode`; without one, verified TLS unless the server is on this machine */
  readonly tls?: TlsOption | undefined;
  /** Maximum connections of this process. @default 4 */
  readonly poolMax?: number | undefined;
  /** Milliseconds to wait for a connection. @default 10000 */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds for a statement, including the COPY of a whole batch. @default 30000 */
  readonly statementTimeout?: number | undefined;
  /** Maximum events in one transaction. @default 4000 */
  readonly batchSize?: number | undefined;
}

/** Who recorded events, as an envelope says it. */
export interface RelaySource {
  /** The source's id, a UUID. */
  readonly id: string;
  /** From 1. A lower one than the database knows is accepted: the queue may still have a former owner's envelopes. */
  readonly epoch: number;
  /** SHA-256 of the source's key, 64 hexadecimal digits. */
  readonly keyHash: string;
  /** How far the sender knows the source to be stored. The store leaves judging it to its caller. */
  readonly acknowledged: number;
  /** The name of the queue key that the envelope was sealed with, at most 200 bytes; empty for a plain envelope. */
  readonly sender: string;
}

/** Consecutive events of one source. */
export interface RelayBatch {
  readonly source: RelaySource;
  readonly firstSeq: number;
  /** The canonical bytes of each event, 1 to 100,000 of them. */
  readonly records: readonly Uint8Array[];
}

/** A record that no store can take as an event. */
export interface RelayQuarantined {
  readonly source: RelaySource;
  readonly seq: number;
  /** Why, in words, at most 1,000 characters. */
  readonly reason: string;
  readonly record: Uint8Array;
}

/** Messages that an operator removed from a queue, since nothing could store them. */
export interface DroppedLetters {
  /** The queue's name. */
  readonly queue: string;
  /** How many messages. */
  readonly dropped: number;
  /** SHA-256 of each, 64 hexadecimal digits; the first 100 are recorded. */
  readonly sha256: readonly string[];
  readonly reason: string;
}

/**
 * Stores events for the sources of many applications. All methods may be called concurrently; calls for one source
 * commit in their order. Each rejects with a {@link HandlerError}, whose `stored` says how far the source is known to be
 * stored. What its `code` says beyond its kind:
 *
 * - `SECLOG_BATCH_EARLY` (retry): events before these are missing. Nothing was copied; `stored` is the position.
 * - `SECLOG_SOURCE_FENCED`, `SECLOG_SOURCE_SENDER` (destination): this source has another key, or another sender opened
 *   it. No other source is affected.
 * - `SECLOG_SOURCE_SEIZED` (destination): the position covers these events, and the database does not have them.
 */
export interface RelayStore {
  /** The source's last stored number, 0 for an unknown source. Opens nothing. */
  position(sourceId: string, signal: AbortSignal): Promise<number>;
  /**
   * Stores events exactly once, and resolves with the source's position after COMMIT. What the position covers already
   * is confirmed by the events' ids, and skipped.
   */
  store(batch: RelayBatch, signal: AbortSignal): Promise<number>;
  /** Puts a record into quarantine, in its place in the sequence. Resolves with the source's position. */
  quarantine(record: RelayQuarantined, signal: AbortSignal): Promise<number>;
  /**
   * Puts numbers on record that the queue lost, so that what follows can be stored. Resolves with the source's position.
   * Should their events arrive later, `store` rejects them as `SECLOG_SOURCE_SEIZED`.
   */
  pass(source: RelaySource, firstSeq: number, lastSeq: number, reason: string, signal: AbortSignal): Promise<number>;
  /** Records that messages were dropped, as the database's own event `dead_letters_dropped`. */
  dropped(letters: DroppedLetters, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const WHERE = "relayStore";
const OPTIONS = [
  "url",
  "urlFile",
  "tls",
  "poolMax",
  "connectTimeout",
  "statementTimeout",
  "batchSize",
] as const satisfies readonly (keyof RelayStoreOptions)[];

/**
 * Opens a store for what comes out of a queue, with the login that `seclog setup` made of `SECLOG_RELAY_URL`. Connects
 * with the first call.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function relayStore(options: RelayStoreOptions = {}): RelayStore {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  return new PostgresRelay(options);
}

/** The statements that require the SHA-256 of the source's key. */
const AS_RELAY: SourceStatements<RelaySource> = {
  login: { variable: "SECLOG_RELAY_URL", role: "relay" },
  identity: ({ id, epoch, keyHash, sender }) => `${id} ${epoch} ${keyHash} ${sender}`,
  position: ({ id }) => ["SELECT public.seclog_relay_position($1) AS last_seq", [id]],
  open: ({ id, epoch, keyHash, sender }) => [
    "SELECT public.seclog_relay_open($1, $2, $3, $4) AS last_seq",
    [id, epoch, bytes(keyHash), sender],
  ],
  advance: ({ id, keyHash }, from, to) => [
    "SELECT public.seclog_relay_advance($1, $2, $3, $4)",
    [id, bytes(keyHash), from, to],
  ],
  quarantine: ({ id, keyHash }, seq, reason, record) => [
    "SELECT public.seclog_relay_quarantine($1, $2, $3, $4, $5)",
    [id, bytes(keyHash), seq, reason, record],
  ],
  confirm: ({ id, keyHash }, firstSeq, { ids, times, digests }) => [
    "SELECT public.seclog_relay_confirm($1, $2, $3, $4, $5, $6) AS last_seq",
    [id, bytes(keyHash), firstSeq, ids, times, digests],
  ],
};

/** What a relay remembers of a source beyond {@link OpenSource}. */
interface Turn {
  /** The last number of the latest call that is storing; the next call continues it. */
  claimed: number | undefined;
  /** Resolves when the latest call has claimed its numbers, or ended. */
  decided: Promise<void>;
}

class PostgresRelay implements RelayStore {
  readonly #store: SourceStore<RelaySource>;
  readonly #batchSize: number;
  readonly #turns = new WeakMap<OpenSource, Turn>();

  constructor(options: RelayStoreOptions) {
    this.#batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 4_000, min: 1, max: 100_000 });
    const max = wholeNumber(WHERE, "poolMax", options.poolMax, { default: 4, min: 1, max: 100 });
    const timeouts = {
      connect: wholeNumber(WHERE, "connectTimeout", options.connectTimeout, { default: 10_000, min: 1 }),
      statement: wholeNumber(WHERE, "statementTimeout", options.statementTimeout, { default: 30_000, min: 1 }),
    };
    const url = secretUrl(WHERE, options, "SECLOG_RELAY_URL");
    const config = connectionConfig(WHERE, "url", url, options.tls);
    this.#store = new SourceStore(new Connections({ config, size: { min: 0, max } }, timeouts), AS_RELAY);
  }

  async position(sourceId: string, signal: AbortSignal): Promise<number> {
    return await this.#query(signal, async (session) => {
      if (!UUID.test(sourceId)) throw new HandlerError("event", `the source ${quoted(sourceId)} is not a UUID`);
      const [row] = await session.query("SELECT public.seclog_relay_position($1) AS last_seq", [sourceId]);
      return Number((row as { last_seq: string }).last_seq);
    });
  }

  async store(batch: RelayBatch, signal: AbortSignal): Promise<number> {
    const { source, firstSeq, records } = batch;
    checkBatch(batch);
    return await this.#call(
      source,
      firstSeq,
      firstSeq + records.length - 1,
      signal,
      async (session, known, committed) => {
        await this.#store.confirm(session, source, known, firstSeq, records, 0);
        await this.#store.store(session, batch, known, this.#batchSize, committed);
      },
    );
  }

  async quarantine(record: RelayQuarantined, signal: AbortSignal): Promise<number> {
    const { source, seq } = record;
    checkSource(source, seq, 1);
    return await this.#call(source, seq, seq, signal, async (session, known, committed) => {
      await committed();
      await this.#store.confirm(session, source, known, seq, [record.record], 0);
      if (known.stored < seq) await this.#store.quarantine(session, source, known, record);
    });
  }

  async pass(
    source: RelaySource,
    firstSeq: number,
    lastSeq: number,
    reason: string,
    signal: AbortSignal,
  ): Promise<number> {
    checkSource(source, firstSeq, lastSeq - firstSeq + 1);
    const hash = bytes(source.keyHash);
    const why = reason.replaceAll("\0", "\\u0000");
    return await this.#call(source, firstSeq, lastSeq, signal, async (session, known, committed) => {
      await committed();
      let from = Math.max(firstSeq, known.position + 1, known.stored + 1);
      while (from <= lastSeq) {
        const first = from;
        const last = Math.min(lastSeq, first + MOST_AT_ONCE - 1);
        await this.#store.move(session, source, known, last, () => [
          "SELECT public.seclog_relay_pass($1, $2, $3, $4, $5)",
          [source.id, hash, first, last, why],
        ]);
        from = last + 1;
      }
    });
  }

  async dropped({ queue, dropped, sha256, reason }: DroppedLetters, signal: AbortSignal): Promise<void> {
    const digests = sha256.slice(0, 100).map(bytes);
    await this.#query(signal, async (session) => {
      await session.query("SELECT public.seclog_relay_dropped($1, $2, $3, $4)", [
        queue.replaceAll("\0", " "),
        dropped,
        digests,
        reason.replaceAll("\0", " "),
      ]);
    });
  }

  close(): Promise<void> {
    return this.#store.connections.close();
  }

  /**
   * Runs a call for the numbers `firstSeq` to `lastSeq` at its place in the source's order. When another process got
   * there first, it reads the position and tries again: what is stored by then is confirmed and skipped.
   */
  async #call(
    source: RelaySource,
    firstSeq: number,
    lastSeq: number,
    signal: AbortSignal,
    work: (session: Session, known: OpenSource, previousCommitted: () => Promise<void>) => Promise<void>,
  ): Promise<number> {
    return await this.#store.inOrder(source, (known, previousCommitted) => {
      const turn = this.#turns.get(known) ?? { claimed: undefined, decided: Promise.resolve() };
      this.#turns.set(known, turn);
      const previousDecided = turn.decided;
      let decide = (): void => {};
      turn.decided = new Promise((resolve) => {
        decide = resolve;
      });
      const attempt = (continues: boolean): Promise<number> => {
        const wasOpen = known.opening !== undefined;
        return this.#store.withSession(source, known, signal, async (session) => {
          if (!continues) {
            const position = wasOpen ? await this.#store.readPosition(session, source, known) : known.position;
            // It is lower only when the server was replaced by an older copy.
            known.stored = Math.min(known.stored, position);
            if (firstSeq > position + 1) throw earlyError(source.id, firstSeq, position);
          }
          turn.claimed = lastSeq;
          decide();
          await work(session, known, continues ? previousCommitted : async () => {});
          return Math.max(known.stored, known.position);
        });
      };
      const inTurn = async (): Promise<number> => {
        await previousDecided;
        let continues = turn.claimed === firstSeq - 1 && known.opening !== undefined;
        for (;;) {
          // Whether the call before was stored shows in the position.
          if (!continues) await previousCommitted().catch(() => {});
          try {
            return await attempt(continues);
          } catch (error) {
            // Another process stored something: the position has moved since, or the store reports a clash next.
            if (!COLLISIONS.includes(errorCode(error))) throw error;
            continues = false;
          }
        }
      };
      return this.#store.connections
        .inTurn(signal, inTurn)
        .catch((error: unknown) => {
          turn.claimed = undefined;
          throw error;
        })
        .finally(decide);
    });
  }

  /** Runs a statement that concerns no open source. */
  async #query<T>(signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    const { connections } = this.#store;
    try {
      return await connections.inTurn(signal, () => connections.withSession(signal, work));
    } catch (error) {
      throw toHandlerError(error, AS_RELAY.login);
    }
  }
}

/** Another process stored these numbers, or ones before them: SL002, SL003, a row of the same number. */
const COLLISIONS: readonly string[] = ["SL002", "SL003", "23505"];

/** The most numbers that the database passes at once. */
const MOST_AT_ONCE = 100_000;
const MAX_EPOCH = 0x7fff_ffff;
const MAX_SENDER_BYTES = 200;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

function checkBatch({ source, firstSeq, records }: RelayBatch): void {
  checkSource(source, firstSeq, records.length);
  if (records.length > MOST_AT_ONCE) {
    throw new HandlerError(
      "event",
      `the batch has ${records.length} events; at most ${MOST_AT_ONCE} are taken at once`,
    );
  }
  try {
    new CopyRows(source.id, new Map()).add(records[0] ?? new Uint8Array(), firstSeq);
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause;
    throw new HandlerError("event", `event ${firstSeq} is not in canonical form: ${cause.message}`, { cause });
  }
}

/** Refuses what the database would refuse with less clear words, before asking it. */
function checkSource({ id, epoch, keyHash, sender }: RelaySource, firstSeq: number, count: number): void {
  const rules: readonly (readonly [holds: boolean, problem: string])[] = [
    [UUID.test(id), `the source ${quoted(id)} is not a UUID`],
    [Number.isInteger(epoch) && epoch >= 1 && epoch <= MAX_EPOCH, `the epoch ${epoch} is not from 1 to ${MAX_EPOCH}`],
    [/^[0-9a-f]{64}$/.test(keyHash), "the key's hash is not 64 hexadecimal digits"],
    [
      Buffer.byteLength(sender) <= MAX_SENDER_BYTES && !sender.includes("\0"),
      `the sender ${quoted(sender)} is longer than ${MAX_SENDER_BYTES} bytes, or has a NUL`,
    ],
    [Number.isSafeInteger(firstSeq) && firstSeq >= 1, `the first number ${firstSeq} is not from 1 to 2^53 - 1`],
    [count >= 1 && Number.isSafeInteger(firstSeq + count - 1), `${count} numbers from ${firstSeq} on are not a range`],
  ];
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) throw new HandlerError("event", `a relay cannot store this: ${broken[1]}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

function earlyError(id: string, firstSeq: number, position: number): HandlerError {
  const error = new HandlerError(
    "retry",
    `PostgreSQL: source ${id} ends at ${position}, and these events begin at ${firstSeq}: those between come first`,
    { code: "SECLOG_BATCH_EARLY" },
  );
  error.stored = position;
  return error;
}
