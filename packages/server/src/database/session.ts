/**
 * Opens every database connection of the program and begins every transaction; all work happens in one.
 *
 * A transaction sets what it needs with SET LOCAL and never changes the connection. A pooler that moves connections between
 * clients after each transaction (PgBouncer's `pool_mode = transaction`) would lose a plain SET for our next statement and
 * apply it to another client's: a reader's `default_transaction_read_only` would stop an application. The startup message
 * carries no settings either: PgBouncer refuses `statement_timeout` there.
 */
import type { Readable } from "node:stream";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { type AppliedMigration, checkSchemaVersion, migrations } from "seclog/postgres/schema";
import { type Role, roleConfig } from "../config/environment.ts";

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** How long one statement may take before the database cancels it, in milliseconds. */
export const STATEMENT_TIMEOUT_MS = 30_000;

/** How much longer the client waits than the database, in case the network loses the response. */
const GRACE_MS = 5_000;

/** How a connection is used. */
export interface SessionOptions {
  readonly role: Role;
  readonly url: string;
  /** @default the URL's */
  readonly database?: string | undefined;
  /** The `application_name` in pg_stat_activity. */
  readonly purpose: string;
  /** Limits the transactions, even if the role may do more. */
  readonly access: "READ ONLY" | "READ WRITE";
  /** Milliseconds; 0 for no limit. @default 30000 */
  readonly statementTimeout?: number;
  /** Milliseconds to wait for a lock; 0 for no separate limit. @default 0 */
  readonly lockTimeout?: number;
  /** Milliseconds that a transaction may wait for its next statement; 0 for no limit. @default 60000 */
  readonly idleTimeout?: number;
  /** Further settings for `SET LOCAL`, such as the planner's. */
  readonly settings?: readonly string[];
  /**
   * Which schema to accept: this program's, or any, for callers that check it themselves. Statements may return wrong
   * results on a schema that they were not written for.
   * @default "own"
   */
  readonly schema?: "own" | "any";
}

/** The isolation of a transaction: one snapshot per statement, or one for all of them. */
export type Isolation = "READ COMMITTED" | "REPEATABLE READ";

/** Runs single statements, each in a transaction of its own. */
export interface Queries {
  query<Row extends pg.QueryResultRow>(statement: string | Statement, values?: unknown[]): Promise<{ rows: Row[] }>;
}

/** Anything that runs a statement: a session, a pool, pg's client, Kysely. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** A statement with its values, in pg's form. Never named: the next transaction may run on another connection. */
export interface Statement {
  readonly text: string;
  readonly values?: unknown[];
  readonly rowMode?: "array";
  readonly types?: pg.CustomTypesConfig;
}

/** One connection. */
export class Session implements Queries {
  /** Use only inside a transaction. */
  readonly client: pg.Client;
  readonly #options: SessionOptions;
  readonly #known: readonly string[];

  private constructor(client: pg.Client, options: SessionOptions, known: readonly string[]) {
    this.client = client;
    this.#options = options;
    this.#known = known;
  }

  /** @throws SeclogError as in {@link checkSchema}; otherwise pg's errors */
  static async open(options: SessionOptions): Promise<Session> {
    const client = new pg.Client(clientConfig(options));
    // Ignored here: a lost connection also fails the running statement.
    client.on("error", () => {});
    await client.connect();
    try {
      if (await isPooled(client)) POOLED.add(client);
      if (options.schema !== "any") await checkSchema(client);
      return new Session(client, options, await settingsOf(client));
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  }

  /** Whether a pooler sits between us and the server. */
  get pooled(): boolean {
    return POOLED.has(this.client);
  }

  /** Begins a transaction for the caller to end; {@link transaction} does both. */
  async begin(isolation: Isolation = "READ COMMITTED"): Promise<void> {
    await this.client.query(beginSql(this.#options, isolation, this.#known));
  }

  /** Does work in a transaction and rolls it back if the work fails, or if `end` says so. */
  async transaction<T>(
    work: (client: pg.Client) => Promise<T>,
    { isolation, end = "COMMIT" }: { readonly isolation?: Isolation; readonly end?: "COMMIT" | "ROLLBACK" } = {},
  ): Promise<T> {
    try {
      await this.begin(isolation);
      const result = await work(this.client);
      await this.client.query(end);
      return result;
    } catch (error) {
      await this.client.query("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  query<Row extends pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>> {
    return this.transaction((client) => client.query<Row>(statement, values));
  }

  /** The bytes of a `COPY … TO STDOUT`, in the transaction that has begun. */
  copyTo(sql: string): Readable {
    const stream = this.client.query(copyStreams.to(sql));
    // The reader gets it. After the reader has left, the end of the connection is an error too.
    stream.on("error", () => {});
    return stream;
  }

  async end(): Promise<void> {
    await this.client.end().catch(() => {});
  }
}

const POOLED = new WeakSet<pg.Client>();

/** A pooler creates its own cancellation key, whose process number then differs from the server process's. */
async function isPooled(client: pg.Client & { readonly processID?: number | null }): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid !== client.processID;
}

/**
 * Names a statement so that a connection parses and plans it once. Behind a pooler it stays unnamed: the next transaction
 * may run on a connection that does not know the name.
 */
export function planOnce(client: pg.Client, name: string): { readonly name?: string } {
  return POOLED.has(client) ? {} : { name };
}

/** Connects on demand, and reconnects after a lost connection. */
export class SessionPool implements Queries {
  readonly #pool: pg.Pool;
  readonly #options: SessionOptions;
  #known: readonly string[] | undefined;

  /** @param max the most open connections */
  constructor(options: SessionOptions, max: number) {
    this.#options = options;
    this.#pool = new pg.Pool({ ...clientConfig(options), max });
    // Ignored here: the next statement notices a connection that broke while idle.
    this.#pool.on("error", () => {});
    // A connection that breaks during a statement also emits an event, which without a listener would end the process.
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  /** Takes a connection and begins a transaction on it. {@link finish} must follow. */
  async begin(): Promise<pg.PoolClient> {
    const client = await this.#pool.connect();
    try {
      if (this.#known === undefined) {
        if (this.#options.schema !== "any") await checkSchema(client);
        this.#known = await settingsOf(client);
      }
      // One snapshot per transaction, so that repeated reads agree; it costs a single statement nothing.
      const isolation = this.#options.access === "READ ONLY" ? "REPEATABLE READ" : "READ COMMITTED";
      await client.query(beginSql(this.#options, isolation, this.#known));
      return client;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  /** Commits the transaction, which rolls back if one of its statements failed, and releases the connection. */
  async finish(client: pg.PoolClient): Promise<void> {
    try {
      await client.query("COMMIT");
      client.release();
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  async query<Row extends pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>> {
    const client = await this.begin();
    try {
      return await client.query<Row>(statement, values);
    } finally {
      await this.finish(client).catch(() => {});
    }
  }

  /** Connects once, so that a wrong URL, server or schema fails now. */
  async ready(): Promise<void> {
    await this.finish(await this.begin());
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }
}

/**
 * Refuses a schema that this program does not know. Sessions and pools call it when they connect.
 *
 * @throws SeclogError `SECLOG_SCHEMA_NEWER`, `SECLOG_SCHEMA_OLDER`, `SECLOG_SCHEMA_MISSING`
 */
export async function checkSchema(database: Queryable): Promise<void> {
  const { rows } = (await database.query("SELECT migrations AS applied FROM public.seclog_describe()")) as {
    rows: { applied: AppliedMigration[] | null }[];
  };
  checkSchemaVersion(migrations(), rows[0]?.applied ?? []);
}

function clientConfig({ role, url, database, purpose, statementTimeout }: SessionOptions): pg.ClientConfig {
  const limit = statementTimeout ?? STATEMENT_TIMEOUT_MS;
  return {
    ...roleConfig(role, url),
    ...(database === undefined ? {} : { database }),
    application_name: purpose,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    ...(limit === 0 ? {} : { query_timeout: limit + GRACE_MS }),
  };
}

/**
 * The settings that only newer servers know: since PostgreSQL 17, a limit on whole transactions, which a verification would
 * exceed. Queried outside transactions: inside one, the query would take the snapshot, and a reader that locks first and
 * reads afterwards would see the state before its locks.
 */
async function settingsOf(client: pg.ClientBase): Promise<readonly string[]> {
  const { rows } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
  return Number(rows[0]?.server_version_num) >= 170_000 ? ["transaction_timeout = 0"] : [];
}

function beginSql(options: SessionOptions, isolation: Isolation, known: readonly string[]): string {
  const { access, statementTimeout, lockTimeout = 0, idleTimeout = 60_000, settings = [] } = options;
  return [
    `BEGIN ISOLATION LEVEL ${isolation} ${access}`,
    ...[
      // A role or a database may have other defaults for any of these.
      "search_path = pg_catalog, public, pg_temp",
      "timezone = 'UTC'",
      "datestyle = 'ISO, YMD'",
      "bytea_output = 'hex'",
      // A refusal is better than silently seeing only a part of the rows.
      "row_security = off",
      "synchronous_commit = on",
      `statement_timeout = ${statementTimeout ?? STATEMENT_TIMEOUT_MS}`,
      `lock_timeout = ${lockTimeout}`,
      `idle_in_transaction_session_timeout = ${idleTimeout}`,
      ...known,
      ...settings,
    ].map((setting) => `SET LOCAL ${setting}`),
  ].join("; ");
}
