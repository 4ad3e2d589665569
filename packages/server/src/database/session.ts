/**
 * Every connection of the program to a database is opened here, and every piece of work is a transaction that begins here.
 *
 * A transaction sets what it needs with SET LOCAL; nothing is ever set for a connection. A pooler that hands connections on
 * between transactions (PgBouncer's `pool_mode = transaction`) would run our next statement without a plain SET, and
 * somebody else's with it: `default_transaction_read_only` of a reader would stop an application. Nor does the startup message
 * carry a setting: PgBouncer refuses `statement_timeout` there.
 */
import pg from "pg";
import { type AppliedMigration, checkSchemaVersion, migrations } from "seclog/postgres/schema";
import { type Role, roleConfig } from "../config/environment.ts";

/** How long a connection may take, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** How long one statement may take before the database gives it up, in milliseconds. */
export const STATEMENT_TIMEOUT_MS = 30_000;

/** How much later than the database the client gives up, for a network that swallows the answer. */
const GRACE_MS = 5_000;

/** What a connection is for. */
export interface SessionOptions {
  readonly role: Role;
  readonly url: string;
  /** @default the URL's */
  readonly database?: string | undefined;
  /** The `application_name`, for those who look at pg_stat_activity. */
  readonly purpose: string;
  /** Whatever the role could do. */
  readonly access: "READ ONLY" | "READ WRITE";
  /** Milliseconds; 0 is none. @default 30000 */
  readonly statementTimeout?: number;
  /** Milliseconds to wait for a lock; 0 is no limit of its own. @default 0 */
  readonly lockTimeout?: number;
  /** Milliseconds that a transaction may wait for its next statement; 0 is for ever. @default 60000 */
  readonly idleTimeout?: number;
  /** Settings of the planner and others, as `SET LOCAL` takes them. */
  readonly settings?: readonly string[];
  /**
   * Which schema is accepted: this program's, or any, for those who judge it themselves. Statements of another schema than
   * they were written for may return what is wrong.
   * @default "own"
   */
  readonly schema?: "own" | "any";
}

/** The level of a transaction: one snapshot for each statement, or one for all of them. */
export type Isolation = "READ COMMITTED" | "REPEATABLE READ";

/** Runs single statements, each in a transaction of its own. */
export interface Queries {
  query<Row extends pg.QueryResultRow>(statement: string | Statement, values?: unknown[]): Promise<{ rows: Row[] }>;
}

/** What runs a statement, whatever is behind it: a session, a pool, a client of pg, Kysely. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** A statement with its values, as pg takes it. Never with a name: the next transaction may be on another connection. */
export interface Statement {
  readonly text: string;
  readonly values?: unknown[];
  readonly rowMode?: "array";
  readonly types?: pg.CustomTypesConfig;
}

/** One connection. */
export class Session implements Queries {
  /** Only for use within a transaction. */
  readonly client: pg.Client;
  readonly #options: SessionOptions;
  readonly #known: readonly string[];

  private constructor(client: pg.Client, options: SessionOptions, known: readonly string[]) {
    this.client = client;
    this.#options = options;
    this.#known = known;
  }

  /** @throws SeclogError as {@link checkSchema}; otherwise what pg throws */
  static async open(options: SessionOptions): Promise<Session> {
    const client = new pg.Client(clientConfig(options));
    // A lost connection also fails the statement that is under way.
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

  /** Whether a pooler is between us and the server. */
  get pooled(): boolean {
    return POOLED.has(this.client);
  }

  /** Begins a transaction that the caller ends; {@link transaction} does both. */
  async begin(isolation: Isolation = "READ COMMITTED"): Promise<void> {
    await this.client.query(beginSql(this.#options, isolation, this.#known));
  }

  /** Does work in a transaction, which is rolled back if that fails, or where nothing of it shall stay. */
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

  async end(): Promise<void> {
    await this.client.end().catch(() => {});
  }
}

const POOLED = new WeakSet<pg.Client>();

/** A pooler makes the key for cancelling, which has the process's number, itself: it can be no server process's. */
async function isPooled(client: pg.Client & { readonly processID?: number | null }): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid !== client.processID;
}

/**
 * Names a statement, so that it is parsed and planned once for a connection; where a pooler may run the next transaction on
 * another one, that does not know the name, it stays without.
 */
export function planOnce(client: pg.Client, name: string): { readonly name?: string } {
  return POOLED.has(client) ? {} : { name };
}

/** Connections that are made when they are needed, and made again when one was lost. */
export class SessionPool implements Queries {
  readonly #pool: pg.Pool;
  readonly #options: SessionOptions;
  #known: readonly string[] | undefined;

  /** @param max the most connections at a time */
  constructor(options: SessionOptions, max: number) {
    this.#options = options;
    this.#pool = new pg.Pool({ ...clientConfig(options), max });
    // A connection that breaks while idle is found by the next statement.
    this.#pool.on("error", () => {});
    // One that breaks in a statement reports it by an event as well, and without a listener that ends the process.
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
      // One snapshot for all that is read: what a transaction reads twice must agree, and a single statement notices nothing.
      const isolation = this.#options.access === "READ ONLY" ? "REPEATABLE READ" : "READ COMMITTED";
      await client.query(beginSql(this.#options, isolation, this.#known));
      return client;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  /** Ends the transaction, which rolls back if a statement of it has failed, and gives the connection back. */
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

  /** Connects once, so that what is wrong with the URL, the server or the schema shows now. */
  async ready(): Promise<void> {
    await this.finish(await this.begin());
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }
}

/**
 * Refuses a schema that this program does not know. Sessions and pools do it when they connect.
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
 * What this server knows besides what all of them do: from PostgreSQL 17 on a limit for a whole transaction, which a
 * verification would run into. Asked outside of transactions: within one, the question would take the snapshot, and a reader
 * that locks first and looks then would see what was before its locks.
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
      // A role or a database may have any of these set otherwise.
      "search_path = pg_catalog, public, pg_temp",
      "timezone = 'UTC'",
      "datestyle = 'ISO, YMD'",
      "bytea_output = 'hex'",
      // To be refused says more than to be shown a part.
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
