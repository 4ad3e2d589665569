/**
 * `postgresHandler`: an application's events into `security_event_log`, with its sources' keys. `source-store.ts` has
 * how.
 */
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import {
  type BatchSource,
  type EventBatch,
  HandlerError,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "../ship/handler.ts";
import { connectionConfig, secretUrl, type TlsOption } from "./connection-config.ts";
import { Connections } from "./connections.ts";
import type { PostgresPool } from "./pool.ts";
import type { Session } from "./session.ts";
import { type OpenSource, type SourceStatements, SourceStore } from "./source-store.ts";

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

/** The statements that require the source's key. */
const BY_KEY: SourceStatements<BatchSource> = {
  login: { variable: "SECLOG_DATABASE_URL", role: "writer" },
  identity: ({ id, epoch }) => `${id} ${epoch}`,
  check: refuseBehind,
  open: ({ id, epoch, key }) => ["SELECT public.seclog_open_source($1, $2, $3) AS last_seq", [id, epoch, key]],
  advance: ({ id, epoch, key }, from, to) => [
    "SELECT public.seclog_advance($1, $2, $3, $4, $5)",
    [id, epoch, key, from, to],
  ],
  quarantine: ({ id, epoch, key }, seq, reason, record) => [
    "SELECT public.seclog_quarantine($1, $2, $3, $4, $5, $6)",
    [id, epoch, key, seq, reason, record],
  ],
  confirm: ({ id, epoch, key }, firstSeq, { ids, times, digests }) => [
    "SELECT public.seclog_confirm($1, $2, $3, $4, $5, $6, $7) AS last_seq",
    [id, epoch, key, firstSeq, ids, times, digests],
  ],
};

class PostgresHandler implements SecurityEventHandler {
  readonly name: string;
  readonly required: boolean;
  readonly inFlight = 2;
  readonly batchSize: number;
  readonly worker?: { readonly module: string; readonly options: unknown };
  readonly #store: SourceStore<BatchSource>;

  constructor(options: PostgresHandlerOptions) {
    this.name = options.name ?? "postgres";
    this.required = options.required ?? true;
    this.batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 4_000, min: 1, max: 100_000 });
    const max = wholeNumber(WHERE, "poolMax", options.poolMax, { default: 2, min: 1, max: 100 });
    const min = wholeNumber(WHERE, "poolMin", options.poolMin, { default: 1, min: 0, max });
    const timeouts = {
      connect: wholeNumber(WHERE, "connectTimeout", options.connectTimeout, { default: 10_000, min: 1 }),
      statement: wholeNumber(WHERE, "statementTimeout", options.statementTimeout, { default: 30_000, min: 1 }),
    };
    if (options.pool === undefined) {
      const url = secretUrl(WHERE, options, "SECLOG_DATABASE_URL");
      const config = connectionConfig(WHERE, "url", url, options.tls);
      const size = { min: Math.min(min, max), max };
      this.#store = new SourceStore(new Connections({ config, size }, timeouts), BY_KEY);
      const { urlFile: _, ...others } = options;
      this.worker = { module: "seclog:postgres", options: { ...others, url } };
    } else {
      this.#store = new SourceStore(new Connections({ pool: options.pool }, timeouts), BY_KEY);
    }
  }

  handle(batch: EventBatch, signal: AbortSignal): Promise<void> {
    const { source, firstSeq, records } = batch;
    return this.#store.inOrder(source, (known, previousCommitted) =>
      this.#withSession(source, known, signal, async (session) => {
        await this.#store.confirm(session, source, known, firstSeq, records, known.stored);
        await this.#store.store(session, batch, known, Number.POSITIVE_INFINITY, previousCommitted);
      }),
    );
  }

  quarantine(record: QuarantinedRecord, signal: AbortSignal): Promise<void> {
    const { source, seq } = record;
    return this.#store.inOrder(source, async (known, previousCommitted) => {
      await previousCommitted();
      await this.#withSession(source, known, signal, async (session) => {
        await this.#store.confirm(session, source, known, seq, [record.record], known.stored);
        if (known.stored < seq) await this.#store.quarantine(session, source, known, record);
      });
    });
  }

  /** Opening the source compares its position with the last acknowledged number; that is all. */
  confirm(source: BatchSource, signal: AbortSignal): Promise<void> {
    return this.#store.inOrder(source, async (known, previousCommitted) => {
      await previousCommitted();
      await this.#withSession(source, known, signal, async () => {});
    });
  }

  close(): Promise<void> {
    return this.#store.connections.close();
  }

  async #withSession(
    source: BatchSource,
    known: OpenSource,
    signal: AbortSignal,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    await this.#store.connections.inTurn(signal, () => this.#store.withSession(source, known, signal, work));
  }
}

/** A position behind what was acknowledged once: the database was rolled back. */
function refuseBehind({ id, acknowledged }: BatchSource, position: number): void {
  if (position >= acknowledged) return;
  throw new HandlerError(
    "destination",
    `PostgreSQL: source ${id} ends at ${position} there, but the spool's cursor says ${acknowledged} was stored: ` +
      "this is an older copy of the database, or the cursor was edited; connect to the right database, or see docs/operations.md",
    { code: "SECLOG_STORE_BEHIND" },
  );
}
