import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { type AppliedMigration, checkSchemaVersion, migrations } from "seclog/postgres";
import { CONNECT_TIMEOUT_MS, STATEMENT_TIMEOUT_MS } from "./connection.ts";
import { requireUrl, roleConfig } from "./environment.ts";

/** The tables, as far as the program reads them. Times and addresses are asked for as text. */
export interface Tables {
  readonly security_event_log: {
    readonly id: string;
    readonly occurred_at: string;
    readonly created_at: string;
    readonly event_type: string;
    readonly level: string;
    readonly category: string;
    readonly outcome: string;
    readonly method: string | null;
    readonly method_original: string | null;
    readonly path: string | null;
    readonly route: string | null;
    readonly status_code: number | null;
    readonly allowed_methods: string | null;
    readonly ip_address: string | null;
    readonly ip_source: string | null;
    readonly ip_chain: string | null;
    readonly user_agent: string | null;
    readonly request_host: string | null;
    readonly request_id: string | null;
    readonly trace_id: string | null;
    readonly span_id: string | null;
    readonly actor_id: string | null;
    readonly actor_type: string | null;
    readonly target_id: string | null;
    readonly target_type: string | null;
    readonly data: string | null;
    readonly notes: string | null;
    readonly count: number | null;
    readonly started_at: string | null;
    readonly ended_at: string | null;
    readonly logger: string;
    readonly service: string | null;
    readonly environment: string | null;
    readonly host: string | null;
    readonly source_id: string;
    readonly epoch: number;
    readonly seq: number;
    readonly v: number;
  };
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

/** Opens the reader's database; it connects with the first question. One connection: the program asks one thing at a time. */
export function openReader(
  statementTimeout: number = STATEMENT_TIMEOUT_MS,
  url: string = requireUrl("reader"),
): Database {
  const config = roleConfig("reader", url);
  return new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool: async () => {
        const pool = new pg.Pool({
          ...config,
          application_name: "seclog",
          connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
          statement_timeout: statementTimeout,
          // The client's own clock, for a network that swallows the answer.
          query_timeout: statementTimeout + 5_000,
          max: 1,
          // Here and not in Kysely's onCreateConnection, which keeps the pool's one connection for ever when it fails.
          onConnect: async (client) => {
            // Whatever this role could do, this program only reads.
            await client.query("SET default_transaction_read_only = on");
            await client.query("SET timezone = 'UTC'");
          },
          types: { getTypeParser: (oid: number) => (oid === INT8 ? Number : pg.types.getTypeParser(oid)) },
        });
        // A connection that breaks while idle is found by the next question.
        pool.on("error", () => {});
        // One that breaks in a question tells of it by an event, too, and without a listener that ends the process.
        pool.on("connect", (client) => client.on("error", () => {}));
        return pool;
      },
    }),
  });
}

/**
 * To be asked before anything else: the answers of a schema that this program does not know could be wrong.
 *
 * @throws SeclogError `SECLOG_SCHEMA_NEWER`, `SECLOG_SCHEMA_OLDER`, `SECLOG_SCHEMA_MISSING`
 */
export async function checkSchema(database: Database): Promise<void> {
  const { rows } = await database.executeQuery<{ applied: AppliedMigration[] | null }>(
    CompiledQuery.raw("SELECT migrations AS applied FROM public.seclog_describe()"),
  );
  checkSchemaVersion(migrations(), rows[0]?.applied ?? []);
}

/** Positions and counts are bigint in PostgreSQL and safe integers here. */
const INT8 = 20;
