/** The reader's database for Kysely. Failures become the SeclogErrors of `databaseError`. */
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from "kysely";
import pg from "pg";
import type { ColumnTexts } from "seclog/postgres/schema";
import { requireUrl } from "../config/environment.ts";
import { databaseError } from "./failure.ts";
import { type Queryable, SessionPool, STATEMENT_TIMEOUT_MS } from "./session.ts";

/** The tables and columns that the program reads. Statements select times and addresses as text. */
export interface Tables {
  readonly security_event_log: ColumnTexts & { readonly created_at: string };
  readonly security_event_source: {
    readonly id: string;
    readonly epoch: number;
    readonly last_seq: number;
    readonly opened_at: string;
    readonly updated_at: string;
  };
  readonly security_event_quarantine: {
    readonly source_id: string;
    readonly seq: number;
    readonly reason: string;
    readonly created_at: string;
  };
}

/** The reader's database. */
export type Database = Kysely<Tables>;

/**
 * Opens the reader's database, which connects at the first statement.
 *
 * @param connections the most open at a time: a command runs one statement at a time
 */
export function openReader(
  statementTimeout: number = STATEMENT_TIMEOUT_MS,
  url: string = requireUrl("reader"),
  connections: number = 1,
): Database {
  const options = { role: "reader", url, purpose: "seclog", access: "READ ONLY", statementTimeout } as const;
  const pool = new SessionPool(options, connections);
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new ReadingDriver(pool),
      createIntrospector: (database) => new PostgresIntrospector(database),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
}

/** Runs statements written without Kysely. */
export function queriesOf(database: Database): Queryable {
  return { query: (text, values = []) => database.executeQuery(CompiledQuery.raw(text, values)) };
}

/** Runs each of Kysely's statements in a transaction, or several in a transaction of Kysely's. */
class ReadingDriver implements Driver {
  readonly #pool: SessionPool;

  constructor(pool: SessionPool) {
    this.#pool = pool;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Reading> {
    try {
      return new Reading(await this.#pool.begin());
    } catch (error) {
      throw databaseError(error, "reader");
    }
  }

  async releaseConnection(connection: Reading): Promise<void> {
    // The rows have arrived; the pool discards a connection that fails now.
    await this.#pool.finish(connection.client).catch(() => {});
  }

  /** Nothing to do: each connection already is in a read-only transaction with one snapshot. */
  async beginTransaction(): Promise<void> {}

  async commitTransaction(): Promise<void> {}

  async rollbackTransaction(): Promise<void> {}

  async destroy(): Promise<void> {
    await this.#pool.end();
  }
}

class Reading implements DatabaseConnection {
  readonly client: pg.PoolClient;

  constructor(client: pg.PoolClient) {
    this.client = client;
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      const { rows } = await this.client.query({ text: sql, values: [...parameters], types: TYPES });
      return { rows: rows as Row[] };
    } catch (error) {
      throw databaseError(error, "reader");
    }
  }

  streamQuery(): never {
    throw new Error("streaming is not supported: read results page by page");
  }
}

/** Positions and counts are bigint in PostgreSQL. Seclog writes safe integers, which become numbers; others stay text. */
const INT8 = 20;
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => (oid === INT8 ? parseInt8 : pg.types.getTypeParser(oid)),
};

function parseInt8(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}
