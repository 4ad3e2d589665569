/**
 * Stores the events of sources in `security_event_log`, each exactly once: what the handler and the relay share. They
 * differ in how they prove that they may move a source's position, which is a table of statements.
 *
 * One transaction per batch: COPY the rows, move the source's position over them, commit. Rows and position commit
 * together, so after any failure the next call opens the source again and reads the position. It skips the events that
 * the position covers, once the database has confirmed that it holds these very events (`confirm.ts`).
 *
 *   call n      COPY ───────────► advance + COMMIT ─► resolves
 *   call n+1         COPY ──────────── waits ────────► advance + COMMIT ─► resolves
 *
 * A source may have calls in flight, each on its own connection: PostgreSQL takes the rows of the second while the first
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
import { HandlerError } from "../ship/handler.ts";
import { CommitOrder } from "./commit-order.ts";
import { clashError, confirmedUpTo, type Identities, seizedError } from "./confirm.ts";
import type { Connections } from "./connections.ts";
import { COPY_COLUMNS, copyRows, type SourceRecords } from "./copy-rows.ts";
import { errorCode, toHandlerError } from "./failure.ts";
import { KNOWN_MIGRATIONS } from "./known-migrations.generated.ts";
import { RecordError } from "./line-reader.ts";
import { Recent } from "./recent.ts";
import { type AppliedMigration, checkSchemaVersion } from "./schema-version.ts";
import type { Session } from "./session.ts";
import { beginTransaction, HAS_TRANSACTION_TIMEOUT, inTransaction } from "./transaction.ts";

/** A statement and its values. */
export type Statement = readonly [text: string, values: unknown[]];

/** What a source is to its store. */
export interface AnySource {
  readonly id: string;
}

/** The database's functions for the positions of sources, as one kind of client calls them. */
export interface SourceStatements<S extends AnySource> {
  /** The variable of the client's URL, and its role, for advice. */
  readonly login: { readonly variable: string; readonly role: string };
  /** Two sources with the same value share what is known of them: id, epoch and credentials. */
  identity(source: S): string;
  /** Whether the source exists, for a client that registers it only with its first event. @default it is registered at once */
  position?(source: S): Statement;
  /** Registers or opens the source. Returns its position as `last_seq`, like the others. */
  open(source: S): Statement;
  /** Throws when the position that was read on opening cannot be right. */
  check?(source: S, position: number): void;
  advance(source: S, from: number, to: number): Statement;
  quarantine(source: S, seq: number, reason: string, record: Buffer): Statement;
  confirm(source: S, firstSeq: number, identities: Identities): Statement;
}

/** A source as this process knows it. */
export interface OpenSource {
  /** The reading of the position, shared by concurrent calls. Absent after a failure. */
  opening: Promise<void> | undefined;
  /** Whether the database has it. */
  registered: boolean;
  /** The last number that the database reports as stored. Another client may have moved it: see {@link confirmedUpTo}. */
  position: number;
  /** The last number known to be stored. Only the first call in the commit order writes it. */
  stored: number;
  readonly commitOrder: CommitOrder;
  /** Calls that have not settled. */
  calls: number;
  /** Maximum events in a transaction: less than a batch after a transaction timed out or lost its connection. */
  maxRows: number;
  /** Where the last transaction began that collided with a row under one of its numbers. */
  clashedAt: number | undefined;
  /** The statements that begin a transaction on this server. */
  begin: string;
  /** The retention class of each category that was assigned one. */
  retention: ReadonlyMap<string, string>;
}

/** How many sources to remember. An application has a few; a relay meets new ones for months. */
const MAX_SOURCES = 1_000;

export class SourceStore<S extends AnySource> {
  readonly connections: Connections;
  readonly #statements: SourceStatements<S>;
  readonly #sources = new Recent<OpenSource>(MAX_SOURCES, ({ calls }) => calls > 0);

  constructor(connections: Connections, statements: SourceStatements<S>) {
    this.connections = connections;
    this.#statements = statements;
  }

  /**
   * Runs a call at its place in the source's {@link CommitOrder}. A failure makes the next call open the source again.
   *
   * @throws HandlerError with `stored`
   */
  async inOrder<T>(
    source: S,
    work: (known: OpenSource, previousCommitted: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    this.connections.refuseClosed();
    const known = this.#sources.use(this.#statements.identity(source), unopened);
    known.calls++;
    try {
      return await known.commitOrder.run((previousCommitted) => work(known, previousCommitted));
    } catch (error) {
      const { login } = this.#statements;
      const failure =
        error instanceof RecordError ? new HandlerError("event", error.message) : toHandlerError(error, login);
      if (failure.code !== "SECLOG_BATCH_EARLY") known.opening = undefined;
      failure.stored ??= known.stored;
      throw failure;
    } finally {
      known.calls--;
    }
  }

  /** Runs `work` on a connection, after reading the source's position if that is not known yet. */
  async withSession<T>(
    source: S,
    known: OpenSource,
    signal: AbortSignal,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    return await this.connections.withSession(signal, async (session) => {
      known.opening ??= this.#open(session, source, known);
      await known.opening;
      return await work(session);
    });
  }

  /** Checks the database's schema, opens the source and reads its position. */
  async #open(session: Session, source: S, known: OpenSource): Promise<void> {
    const { statement } = this.connections.timeouts;
    const [row] = await inTransaction(session, beginTransaction(statement, false), () =>
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
    known.retention = new Map(Object.entries(retention ?? {}));
    known.begin = beginTransaction(statement, limited);
    await inTransaction(session, known.begin, async () => {
      const exists = this.#statements.position === undefined || (await this.readPosition(session, source, known)) > 0;
      if (!exists) return;
      known.position = await lastSeq(session, this.#statements.open(source));
      known.registered = true;
    });
    this.#statements.check?.(source, known.position);
  }

  /** Reads a position that another client may have moved. Only for statements with `position`. */
  async readPosition(session: Session, source: S, known: OpenSource): Promise<number> {
    const statement = this.#statements.position?.(source);
    if (statement !== undefined) known.position = await lastSeq(session, statement);
    return known.position;
  }

  /**
   * Confirms that the events up to the position are stored. They are when an earlier attempt committed and its reply
   * was lost; they are not when the position was moved by another client.
   *
   * @param trusted the last number whose event is known to be the one given
   * @throws HandlerError `SECLOG_SOURCE_SEIZED`
   */
  async confirm(
    session: Session,
    source: S,
    known: OpenSource,
    firstSeq: number,
    records: readonly Uint8Array[],
    trusted: number,
  ): Promise<void> {
    const lastSeq = Math.min(firstSeq + records.length - 1, known.position);
    const from = Math.max(firstSeq, trusted + 1);
    if (from > lastSeq) return;
    const unconfirmed = records.slice(from - firstSeq, lastSeq - firstSeq + 1);
    const confirmed = await inTransaction(session, known.begin, () =>
      confirmedUpTo(session, from, unconfirmed, (seq, identities) => this.#statements.confirm(source, seq, identities)),
    );
    if (confirmed >= from) known.stored = Math.max(known.stored, confirmed);
    if (confirmed < lastSeq) throw seizedError(source.id, known.position, confirmed);
  }

  /** Stores what of a batch is not stored yet, at most `rows` events in a transaction. */
  async store(
    session: Session,
    batch: SourceRecords<S>,
    known: OpenSource,
    rows: number,
    previousCommitted: () => Promise<void>,
  ): Promise<void> {
    const last = batch.firstSeq + batch.records.length - 1;
    let from = Math.max(batch.firstSeq, known.stored + 1);
    while (from <= last) {
      const to = Math.min(last, from + Math.min(rows, known.maxRows) - 1);
      await this.#transaction(session, batch, known, from, to, previousCommitted);
      from = to + 1;
    }
  }

  /** Puts a record that cannot be stored into quarantine, in its place. */
  async quarantine(
    session: Session,
    source: S,
    known: OpenSource,
    { seq, reason, record }: { readonly seq: number; readonly reason: string; readonly record: Uint8Array },
  ): Promise<void> {
    await this.move(session, source, known, seq, () =>
      this.#statements.quarantine(source, seq, reason.replaceAll("\0", "\\u0000"), Buffer.from(record)),
    );
  }

  /** Runs a statement that moves the position to `to`, in a transaction of its own. */
  async move(session: Session, source: S, known: OpenSource, to: number, statement: () => Statement): Promise<void> {
    await inTransaction(session, known.begin, async () => {
      await this.#register(session, source, known);
      await session.query(...statement());
    });
    known.registered = true;
    known.stored = to;
  }

  async #transaction(
    session: Session,
    batch: SourceRecords<S>,
    known: OpenSource,
    from: number,
    to: number,
    previousCommitted: () => Promise<void>,
  ): Promise<void> {
    const { source } = batch;
    try {
      await session.copy(`${known.begin}; ${COPY}`, copyRows(batch, known.retention, from, to));
      await previousCommitted();
      await this.#register(session, source, known);
      await session.query(...this.#statements.advance(source, from, to));
      await session.query("COMMIT");
    } catch (error) {
      await session.rollback();
      // The cause may end the next connection just as early: a link that takes only so many bytes, or a limit on the
      // server. Fewer rows get further; in the end a single event does, or nothing can.
      if (session.broken || errorCode(error) === QUERY_CANCELED) known.maxRows = Math.ceil((to - from + 1) / 4);
      if (errorCode(error) !== UNIQUE_VIOLATION) throw error;
      // Two attempts at one batch collided, and the position has passed the one that is stored. If it has not moved at
      // the next attempt, another client inserted the row: a writer may insert under any number.
      if (known.clashedAt === from) throw clashError(source.id, from, to, error);
      known.clashedAt = from;
      throw error;
    }
    known.registered = true;
    known.stored = to;
    known.maxRows *= 2;
  }

  /** In the transaction that stores a source's first event. */
  async #register(session: Session, source: S, known: OpenSource): Promise<void> {
    if (!known.registered) await session.query(...this.#statements.open(source));
  }
}

function unopened(): OpenSource {
  return {
    opening: undefined,
    registered: false,
    position: 0,
    stored: 0,
    commitOrder: new CommitOrder(),
    calls: 0,
    maxRows: Number.POSITIVE_INFINITY,
    clashedAt: undefined,
    begin: "",
    retention: new Map(),
  };
}

const QUERY_CANCELED = "57014";
const UNIQUE_VIOLATION = "23505";

const COPY = `COPY public.security_event_log (${COPY_COLUMNS.join(", ")}) FROM STDIN (FORMAT text, ENCODING 'UTF8')`;

/** The number that a statement returns as `last_seq`. */
async function lastSeq(session: Session, statement: Statement): Promise<number> {
  const [row] = await session.query(...statement);
  return Number((row as { last_seq: string }).last_seq);
}

let warned = false;

function warnOnce(warning: string): void {
  if (warned) return;
  warned = true;
  process.emitWarning(`${warning}; this program still works with it, but should be updated`, {
    code: "SECLOG_SCHEMA_NEWER",
  });
}
