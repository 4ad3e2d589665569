/**
 * Batches into `security_event_log`, exactly once.
 *
 * One transaction per batch: COPY the rows, move the source's position over them, commit.
 * The two are committed together, so after any failure the next call opens the source again and reads the position. What it
 * covers of the call's events is left out once the database has confirmed that it has these very events (`confirm.ts`).
 *
 *   call n      COPY ───────────► advance + COMMIT ─► resolves
 *   call n+1         COPY ──────────── waits ────────► advance + COMMIT ─► resolves
 *
 * Two calls of a source are under way at a time, each on its own connection; PostgreSQL takes the rows of the second
 * while the first is still on its way. The second one's position moves only after the first has committed: when the
 * first fails, the second rolls back. Locking the position at the start of the transaction would serialise the COPYs.
 *
 * The source's key is a parameter and stands in no SQL text: other sessions of the same login read that in
 * `pg_stat_activity`. A statement with parameters cannot carry the COMMIT as well, so a connection that is lost between the two
 * leaves the position locked, for as long as the rows of its COPY hold up the next try anyway (`transaction.ts`).
 *
 * A connection that is lost around COMMIT leaves a transaction that may still end either way. If it commits, the
 * next try meets it at the position (SL002) or at the unique index (23505), rolls back, and reads again.
 */

import type { ClientConfig, Pool } from "pg";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import {
  type BatchSource,
  type EventBatch,
  HandlerError,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "../ship/handler.ts";
import { confirmedUpTo, seizedError } from "./confirm.ts";
import { connectionConfig, secretUrl, type TlsOption } from "./connection-config.ts";
import { COPY_COLUMNS, copyRows } from "./copy-rows.ts";
import { errorCode, toHandlerError } from "./failure.ts";
import { KNOWN_MIGRATIONS } from "./known-migrations.generated.ts";
import { RecordError } from "./line-reader.ts";
import type { PostgresPool } from "./pool.ts";
import { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
import { openPool, Session, type SessionTimeouts } from "./session.ts";
import { beginTransaction, HAS_TRANSACTION_TIMEOUT, inTransaction } from "./transaction.ts";
import { Slots, Turns } from "./commit-order.ts";

/** Options of {@link postgresHandler}. */
export interface PostgresHandlerOptions {
  /** The writer's URL, `postgresql://user:password@host/database`. @default `SECLOG_DATABASE_URL` */
  readonly url?: string | undefined;
  /** A file that holds the URL. @default `SECLOG_DATABASE_URL_FILE` */
  readonly urlFile?: string | undefined;
  /**
   * The application's own pool, of pg or of its shape, instead of a URL. The handler then runs on the main thread, and
   * takes two of its connections at a time.
   */
  readonly pool?: PostgresPool | undefined;
  /** See {@link TlsOption}. @default as the URL says; verified TLS for any other machine */
  readonly tls?: TlsOption | undefined;
  /** Connections that stay open when there is nothing to do. @default 1 */
  readonly poolMin?: number | undefined;
  /** The most connections of this process. @default 2 */
  readonly poolMax?: number | undefined;
  /** Milliseconds for a connection to be made. @default 10000 */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds for a statement, a COPY of a whole batch included. @default 30000 */
  readonly statementTimeout?: number | undefined;
  /** The most events in one transaction. @default 4000 */
  readonly batchSize?: number | undefined;
  /** @default "postgres" */
  readonly name?: string | undefined;
  /** Whether a receipt's `stored` waits for it. @default true */
  readonly required?: boolean | undefined;
}

const WHERE = "postgresHandler";
const OPTIONS = [
  "url",
  "urlFile",
  "pool",
  "tls",
  "poolMin",
  "poolMax",
  "connectTimeout",
  "statementTimeout",
  "batchSize",
  "name",
  "required",
] as const satisfies readonly (keyof PostgresHandlerOptions)[];

/**
 * Stores events in the table `security_event_log` that `seclog setup` made. Connects when the first batch comes.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option
 */
export function postgresHandler(options: PostgresHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  if (options.pool !== undefined && typeof options.pool.connect !== "function") {
    throw configError(WHERE, "pool", "has no method connect(); give a pg Pool");
  }
  return new PostgresHandler(options);
}

/**
 * Makes the handler in the shipper's worker thread. `options` are those of its `worker` property.
 *
 * What it needs is loaded here and not with the first batch: a module that could not be read once, for want of a descriptor
 * say, cannot be loaded again in the same thread, only in the one that comes after it.
 */
export async function createHandler(options: PostgresHandlerOptions): Promise<SecurityEventHandler> {
  await Promise.all([import("pg"), import("pg-copy-streams")]);
  return postgresHandler(options);
}

/** A source as this process knows it. */
interface OpenSource {
  readonly epoch: number;
  /** Reads the position; shared by calls that come while it is being read. Absent after a failure. */
  opening: Promise<void> | undefined;
  /** The last number that the database says is stored. Somebody else may have moved it: see {@link confirmedUpTo}. */
  position: number;
  /** The last number that is stored for certain. Owned by the call whose turn it is. */
  stored: number;
  readonly turns: Turns;
  /** The most events in a transaction: fewer than a batch has after one took too long or was cut off. */
  rows: number;
  /** The first number of the last transaction that met a row of one of its numbers. */
  clashedAt: number | undefined;
  /** What begins a transaction at this server. */
  begin: string;
  /** The retention class of each category that has one. */
  retention: ReadonlyMap<string, string>;
}

/** How long connections may take to end. One that is still being made would keep `close` for `connectTimeout`. */
const CLOSE_MS = 1_000;
class PostgresHandler implements SecurityEventHandler {
  readonly name: string;
  readonly required: boolean;
  readonly inFlight = 2;
  readonly batchSize: number;
  readonly worker?: { readonly module: string; readonly options: unknown };
  readonly #config: ClientConfig | undefined;
  readonly #size: { readonly min: number; readonly max: number };
  readonly #timeouts: SessionTimeouts;
  readonly #sources = new Map<string, OpenSource>();
  readonly #slots: Slots;
  #pool: PostgresPool | undefined;
  #ownPool: Promise<Pool> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PostgresHandlerOptions) {
    this.name = options.name ?? "postgres";
    this.required = options.required ?? true;
    this.batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 4_000, min: 1, max: 100_000 });
    const max = wholeNumber(WHERE, "poolMax", options.poolMax, { default: 2, min: 1, max: 100 });
    const min = wholeNumber(WHERE, "poolMin", options.poolMin, { default: 1, min: 0, max });
    this.#size = { min: Math.min(min, max), max };
    this.#timeouts = {
      connect: wholeNumber(WHERE, "connectTimeout", options.connectTimeout, { default: 10_000, min: 1 }),
      statement: wholeNumber(WHERE, "statementTimeout", options.statementTimeout, { default: 30_000, min: 1 }),
    };
    if (options.pool === undefined) {
      const url = secretUrl(WHERE, options, "SECLOG_DATABASE_URL");
      this.#config = connectionConfig(WHERE, "url", url, options.tls);
      this.#slots = new Slots(max);
      const { urlFile: _, ...others } = options;
      this.worker = { module: "seclog:postgres", options: { ...others, url } };
    } else {
      // How large it is only its owner knows; it has a queue of its own.
      this.#pool = options.pool;
      this.#slots = new Slots(Number.POSITIVE_INFINITY);
    }
  }

  handle(batch: EventBatch, signal: AbortSignal): Promise<void> {
    return this.#inTurn(batch.source, async (source, turn) => {
      await this.#withSession(batch.source, source, signal, async (session) => {
        await this.#confirm(session, batch.source, source, batch.firstSeq, batch.records);
        let from = Math.max(batch.firstSeq, source.stored + 1);
        while (from <= batch.lastSeq) {
          const to = Math.min(batch.lastSeq, from + source.rows - 1);
          await this.#transaction(session, batch, source, from, to, turn);
          from = to + 1;
        }
      });
    });
  }

  quarantine(record: QuarantinedRecord, signal: AbortSignal): Promise<void> {
    return this.#inTurn(record.source, async (source, turn) => {
      await turn();
      await this.#withSession(record.source, source, signal, async (session) => {
        await this.#confirm(session, record.source, source, record.seq, [record.record]);
        if (source.stored >= record.seq) return;
        const { id, epoch, key } = record.source;
        const reason = record.reason.replaceAll("\0", "\\u0000");
        await inTransaction(session, source.begin, () =>
          session.query("SELECT public.seclog_quarantine($1, $2, $3, $4, $5, $6)", [
            id,
            epoch,
            key,
            record.seq,
            reason,
            Buffer.from(record.record),
          ]),
        );
        source.stored = record.seq;
      });
    });
  }

  /** Opening the source compares its position with what was acknowledged. */
  confirm(source: BatchSource, signal: AbortSignal): Promise<void> {
    return this.#inTurn(source, async (known, turn) => {
      await turn();
      await this.#withSession(source, known, signal, async () => {});
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const pool = await this.#ownPool?.catch(() => undefined);
    if (pool === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([pool.end(), late]);
    clearTimeout(timer);
  }

  /** Gives a call its place behind the one before it of the same source; see {@link Turns}. */
  async #inTurn(
    { id, epoch }: BatchSource,
    work: (source: OpenSource, turn: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    if (this.#closing !== undefined) throw new HandlerError("retry", "PostgreSQL: the handler was closed");
    let source = this.#sources.get(id);
    if (source === undefined || source.epoch !== epoch) {
      source = {
        epoch,
        opening: undefined,
        position: 0,
        stored: 0,
        turns: new Turns(),
        rows: Number.POSITIVE_INFINITY,
        clashedAt: undefined,
        begin: "",
        retention: new Map(),
      };
      this.#sources.set(id, source);
    }
    const mine = source;
    try {
      await mine.turns.take((turn) => work(mine, turn));
    } catch (error) {
      mine.opening = undefined;
      const failure = error instanceof RecordError ? new HandlerError("event", error.message) : toHandlerError(error);
      failure.stored = mine.stored;
      throw failure;
    }
  }

  /** Does `work` on a connection, once the source's position is known. */
  async #withSession(
    batchSource: BatchSource,
    source: OpenSource,
    signal: AbortSignal,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    await this.#slots.take(signal);
    try {
      this.#pool ??= await this.#openPool();
      const session = await Session.open(this.#pool, this.#timeouts, signal);
      try {
        source.opening ??= this.#open(session, batchSource, source);
        await source.opening;
        await work(session);
      } finally {
        session.release();
      }
    } finally {
      this.#slots.give();
    }
  }

  async #openPool(): Promise<PostgresPool> {
    if (this.#config === undefined) throw new HandlerError("retry", "PostgreSQL: there is no pool");
    this.#ownPool ??= openPool(this.#config, this.#size, this.#timeouts);
    return this.#ownPool;
  }

  /** Learns what the database is, and reads how far the source has come. */
  async #open(session: Session, { id, epoch, key, acknowledged }: BatchSource, source: OpenSource): Promise<void> {
    const [row] = await inTransaction(session, beginTransaction(this.#timeouts.statement, false), () =>
      session.query(
        `SELECT migrations, retention, ${HAS_TRANSACTION_TIMEOUT} AS limited FROM public.seclog_describe()`,
      ),
    );
    const {
      migrations: applied,
      retention,
      limited,
    } = row as {
      migrations: AppliedMigration[] | null;
      retention: { [category: string]: string } | null;
      limited: boolean;
    };
    const warning = checkSchemaVersion(KNOWN_MIGRATIONS, applied ?? []);
    if (warning !== undefined) warnOnce(warning);
    source.retention = new Map(Object.entries(retention ?? {}));
    source.begin = beginTransaction(this.#timeouts.statement, limited);
    const [opened] = await inTransaction(session, source.begin, () =>
      session.query("SELECT public.seclog_open_source($1, $2, $3) AS last_seq", [id, epoch, key]),
    );
    source.position = Number((opened as { last_seq: string }).last_seq);
    if (source.position < acknowledged) {
      throw new HandlerError(
        "destination",
        `PostgreSQL: source ${id} ends at ${source.position} there, but by the cursor in the spool ${acknowledged} was stored before: ` +
          "it is an older copy of the database, or somebody edited the cursor; connect to the right one, or see docs/operations.md",
        { code: "SECLOG_STORE_BEHIND" },
      );
    }
  }

  /**
   * Makes certain of what is there already by the position: a try whose answer was lost has stored it, or nobody has.
   *
   * @throws HandlerError `SECLOG_SOURCE_SEIZED`
   */
  async #confirm(
    session: Session,
    batchSource: BatchSource,
    source: OpenSource,
    firstSeq: number,
    records: readonly Uint8Array[],
  ): Promise<void> {
    const lastSeq = Math.min(firstSeq + records.length - 1, source.position);
    const from = Math.max(firstSeq, source.stored + 1);
    if (from > lastSeq) return;
    const doubtful = records.slice(from - firstSeq, lastSeq - firstSeq + 1);
    const confirmed = await inTransaction(session, source.begin, () =>
      confirmedUpTo(session, batchSource, from, doubtful),
    );
    if (confirmed >= from) source.stored = confirmed;
    if (confirmed < lastSeq) throw seizedError(batchSource, source.position, confirmed);
  }

  async #transaction(
    session: Session,
    batch: EventBatch,
    source: OpenSource,
    from: number,
    to: number,
    turn: () => Promise<void>,
  ): Promise<void> {
    const { id, epoch, key } = batch.source;
    try {
      await session.copy(`${source.begin}; ${COPY}`, copyRows(batch, source.retention, from, to));
      await turn();
      await session.query("SELECT public.seclog_advance($1, $2, $3, $4, $5)", [id, epoch, key, from, to]);
      await session.query("COMMIT");
    } catch (error) {
      await session.rollback();
      // Whatever ended the connection may end the next one as soon: a link that takes no more bytes, or a limit of the
      // server's. A single event at last gets through, or nothing does.
      if (session.broken || errorCode(error) === QUERY_CANCELED) source.rows = Math.ceil((to - from + 1) / 4);
      if (errorCode(error) !== UNIQUE_VIOLATION) throw error;
      // Two tries of a batch met, and the position has passed the one that is stored. When it has not moved by the next try,
      // the row is somebody else's: a writer may insert one under any number.
      if (source.clashedAt === from) throw clashError(batch.source, from, to, error);
      source.clashedAt = from;
      throw error;
    }
    source.stored = to;
    source.rows *= 2;
  }
}

const QUERY_CANCELED = "57014";
const UNIQUE_VIOLATION = "23505";

function clashError({ id }: BatchSource, from: number, to: number, cause: unknown): HandlerError {
  const numbers = from === to ? `number ${from}` : `one of the numbers ${from} to ${to}`;
  const message = `PostgreSQL: ${numbers} of source ${id} has a row with the same time that is not this event's: somebody else inserted it, with a writer's login`;
  return new HandlerError("event", message, { cause });
}

const COPY = `COPY public.security_event_log (${COPY_COLUMNS.join(", ")}) FROM STDIN (FORMAT text, ENCODING 'UTF8')`;

let warned = false;

function warnOnce(warning: string): void {
  if (warned) return;
  warned = true;
  process.emitWarning(`${warning}; it still works, but should be brought up to date`, { code: "SECLOG_SCHEMA_NEWER" });
}
