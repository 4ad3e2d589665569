/**
 * Stores batches in `security_event_log`, each event exactly once.
 *
 * One transaction per batch: COPY the rows, move the source's position over them, commit. Rows and position commit
 * together, so after any failure the next call opens the source again and reads the position. It skips the events that
 * the position covers, once the database has confirmed that it holds these very events (`confirm.ts`).
 *
 *   call n      COPY ───────────► advance + COMMIT ─► resolves
 *   call n+1         COPY ──────────── waits ────────► advance + COMMIT ─► resolves
 *
 * A source has two calls in flight, each on its own connection: PostgreSQL takes the rows of the second while the first
 * is still committing. The second moves the position only after the first has committed (`commit-order.ts`), and rolls
 * back when the first fails. Locking the position at the start of the transaction would serialise the COPYs.
 *
 * The source's key is a parameter and never part of the SQL text, which other sessions of the same login can read in
 * `pg_stat_activity`. A statement with parameters cannot carry the COMMIT as well, so a connection lost between the two
 * leaves the position locked; the rows of its COPY would block the retry just as long (`transaction.ts`).
 *
 * A connection lost around COMMIT leaves a transaction that may still commit or roll back. If it commits, the retry
 * collides with it at the position (SL002) or at the unique index (23505), rolls back, and reads the position again.
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
import { CommitOrder } from "./commit-order.ts";
import { clashError, confirmedUpTo, seizedError } from "./confirm.ts";
import { connectionConfig, secretUrl, type TlsOption } from "./connection-config.ts";
import { COPY_COLUMNS, copyRows } from "./copy-rows.ts";
import { errorCode, toHandlerError } from "./failure.ts";
import { KNOWN_MIGRATIONS } from "./known-migrations.generated.ts";
import { RecordError } from "./line-reader.ts";
import type { PostgresPool } from "./pool.ts";
import { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
import { openPool, Session, type SessionTimeouts } from "./session.ts";
import { Slots } from "./slots.ts";
import { beginTransaction, HAS_TRANSACTION_TIMEOUT, inTransaction } from "./transaction.ts";

/** Options of {@link postgresHandler}. */
export interface PostgresHandlerOptions {
  /** The writer's URL, `postgresql://user:password@host/database`. @default `SECLOG_DATABASE_URL` */
  readonly url?: string | undefined;
  /** A file with the URL in it. @default `SECLOG_DATABASE_URL_FILE` */
  readonly urlFile?: string | undefined;
  /**
   * The application's own pool instead of a URL: pg's, or one of its shape. The handler then runs on the main thread
   * and uses two of its connections at a time.
   */
  readonly pool?: PostgresPool | undefined;
  /** See {@link TlsOption}. @default the URL's `sslmode`; without one, verified TLS unless the server is on this machine */
  readonly tls?: TlsOption | undefined;
  /** Connections that stay open while idle. @default 1 */
  readonly poolMin?: number | undefined;
  /** Maximum connections of this process. @default 2 */
  readonly poolMax?: number | undefined;
  /** Milliseconds to wait for a connection. @default 10000 */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds for a statement, including the COPY of a whole batch. @default 30000 */
  readonly statementTimeout?: number | undefined;
  /** Maximum events in one transaction. @default 4000 */
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
 * Stores events in the table `security_event_log`, which `seclog setup` creates. Connects with the first batch.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function postgresHandler(options: PostgresHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  if (options.pool !== undefined && typeof options.pool.connect !== "function") {
    throw configError(WHERE, "pool", "has no method connect(); pass a pg Pool");
  }
  return new PostgresHandler(options);
}

/**
 * Creates the handler in the shipper's worker thread, from the options of its `worker` property.
 *
 * Loads its dependencies now rather than with the first batch: a module that failed to load once, for want of a file
 * descriptor say, cannot be loaded again in the same thread. A failure here makes the shipper start a new thread.
 */
export async function createHandler(options: PostgresHandlerOptions): Promise<SecurityEventHandler> {
  await Promise.all([import("pg"), import("pg-copy-streams")]);
  return postgresHandler(options);
}

/** A source as this process knows it. */
interface OpenSource {
  readonly epoch: number;
  /** The reading of the position, shared by concurrent calls. Absent after a failure. */
  opening: Promise<void> | undefined;
  /** The last number that the database reports as stored. Another client may have moved it: see {@link confirmedUpTo}. */
  position: number;
  /** The last number known to be stored. Only the first call in the commit order writes it. */
  stored: number;
  readonly commitOrder: CommitOrder;
  /** Maximum events in a transaction: less than a batch after a transaction timed out or lost its connection. */
  maxRows: number;
  /** Where the last transaction began that collided with a row under one of its numbers. */
  clashedAt: number | undefined;
  /** The statements that begin a transaction on this server. */
  begin: string;
  /** The retention class of each category that was assigned one. */
  retention: ReadonlyMap<string, string>;
}

/** How long `close` waits for connections to end. One still being opened would take up to `connectTimeout`. */
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
      // Only its owner knows its size, and it has a queue of its own.
      this.#pool = options.pool;
      this.#slots = new Slots(Number.POSITIVE_INFINITY);
    }
  }

  handle(batch: EventBatch, signal: AbortSignal): Promise<void> {
    return this.#inOrder(batch.source, async (source, previousCommitted) => {
      await this.#withSession(batch.source, source, signal, async (session) => {
        await this.#confirm(session, batch.source, source, batch.firstSeq, batch.records);
        let from = Math.max(batch.firstSeq, source.stored + 1);
        while (from <= batch.lastSeq) {
          const to = Math.min(batch.lastSeq, from + source.maxRows - 1);
          await this.#transaction(session, batch, source, from, to, previousCommitted);
          from = to + 1;
        }
      });
    });
  }

  quarantine(record: QuarantinedRecord, signal: AbortSignal): Promise<void> {
    return this.#inOrder(record.source, async (source, previousCommitted) => {
      await previousCommitted();
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

  /** Opening the source compares its position with the last acknowledged number; that is all. */
  confirm(source: BatchSource, signal: AbortSignal): Promise<void> {
    return this.#inOrder(source, async (known, previousCommitted) => {
      await previousCommitted();
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

  /** Runs a call at its place in the source's {@link CommitOrder}. */
  async #inOrder(
    { id, epoch }: BatchSource,
    work: (source: OpenSource, previousCommitted: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    if (this.#closing !== undefined) throw new HandlerError("retry", "PostgreSQL: the handler is closed");
    let source = this.#sources.get(id);
    if (source === undefined || source.epoch !== epoch) {
      source = {
        epoch,
        opening: undefined,
        position: 0,
        stored: 0,
        commitOrder: new CommitOrder(),
        maxRows: Number.POSITIVE_INFINITY,
        clashedAt: undefined,
        begin: "",
        retention: new Map(),
      };
      this.#sources.set(id, source);
    }
    const current = source;
    try {
      await current.commitOrder.run((previousCommitted) => work(current, previousCommitted));
    } catch (error) {
      current.opening = undefined;
      const failure = error instanceof RecordError ? new HandlerError("event", error.message) : toHandlerError(error);
      failure.stored = current.stored;
      throw failure;
    }
  }

  /** Runs `work` on a connection, after reading the source's position if that is not known yet. */
  async #withSession(
    batchSource: BatchSource,
    source: OpenSource,
    signal: AbortSignal,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    await this.#slots.acquire(signal);
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
      this.#slots.release();
    }
  }

  async #openPool(): Promise<PostgresPool> {
    if (this.#config === undefined) throw new HandlerError("retry", "PostgreSQL: neither a URL nor a pool");
    this.#ownPool ??= openPool(this.#config, this.#size, this.#timeouts);
    return this.#ownPool;
  }

  /** Checks the database's schema, opens the source and reads its position. */
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
        `PostgreSQL: source ${id} ends at ${source.position} there, but the spool's cursor says ${acknowledged} was stored: ` +
          "this is an older copy of the database, or the cursor was edited; connect to the right database, or see docs/operations.md",
        { code: "SECLOG_STORE_BEHIND" },
      );
    }
  }

  /**
   * Confirms that the events up to the position are stored. They are when an earlier attempt committed and its reply
   * was lost; they are not when the position was moved by another client.
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
    const unconfirmed = records.slice(from - firstSeq, lastSeq - firstSeq + 1);
    const confirmed = await inTransaction(session, source.begin, () =>
      confirmedUpTo(session, batchSource, from, unconfirmed),
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
    previousCommitted: () => Promise<void>,
  ): Promise<void> {
    const { id, epoch, key } = batch.source;
    try {
      await session.copy(`${source.begin}; ${COPY}`, copyRows(batch, source.retention, from, to));
      await previousCommitted();
      await session.query("SELECT public.seclog_advance($1, $2, $3, $4, $5)", [id, epoch, key, from, to]);
      await session.query("COMMIT");
    } catch (error) {
      await session.rollback();
      // The cause may end the next connection just as early: a link that takes only so many bytes, or a limit on the
      // server. Fewer rows get further; in the end a single event does, or nothing can.
      if (session.broken || errorCode(error) === QUERY_CANCELED) source.maxRows = Math.ceil((to - from + 1) / 4);
      if (errorCode(error) !== UNIQUE_VIOLATION) throw error;
      // Two attempts at one batch collided, and the position has passed the one that is stored. If it has not moved at
      // the next attempt, another client inserted the row: a writer may insert under any number.
      if (source.clashedAt === from) throw clashError(batch.source, from, to, error);
      source.clashedAt = from;
      throw error;
    }
    source.stored = to;
    source.maxRows *= 2;
  }
}

const QUERY_CANCELED = "57014";
const UNIQUE_VIOLATION = "23505";

const COPY = `COPY public.security_event_log (${COPY_COLUMNS.join(", ")}) FROM STDIN (FORMAT text, ENCODING 'UTF8')`;

let warned = false;

function warnOnce(warning: string): void {
  if (warned) return;
  warned = true;
  process.emitWarning(`${warning}; this program still works with it, but should be updated`, {
    code: "SECLOG_SCHEMA_NEWER",
  });
}
