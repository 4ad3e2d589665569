import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { errorMessage, SeclogError } from "seclog";
import { type Role, requireUrl, roleConfig, URL_VARIABLES } from "./environment.ts";

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

const CONNECT_TIMEOUT_MS = 10_000;

/** How long one statement may take before the database gives it up, in milliseconds. */
export const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;

/** Opens the reader's database; it connects with the first question. One connection: the program asks one thing at a time. */
export function openReader(
  statementTimeout: number = DEFAULT_STATEMENT_TIMEOUT_MS,
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
          types: { getTypeParser: (oid: number) => (oid === INT8 ? Number : pg.types.getTypeParser(oid)) },
        });
        // A connection that breaks while idle is found by the next question.
        pool.on("error", () => {});
        return pool;
      },
      onCreateConnection: async (connection) => {
        // Whatever this role could do, this program only reads.
        await connection.executeQuery(CompiledQuery.raw("SET default_transaction_read_only = on"));
        await connection.executeQuery(CompiledQuery.raw("SET timezone = 'UTC'"));
      },
    }),
  });
}

/** Positions and counts are bigint in PostgreSQL and safe integers here. */
const INT8 = 20;

/** A plain connection of one role, for what only `doctor` asks. The caller ends it. */
export async function connect(role: Role, url: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...roleConfig(role, url),
    application_name: "seclog doctor",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: DEFAULT_STATEMENT_TIMEOUT_MS,
    query_timeout: DEFAULT_STATEMENT_TIMEOUT_MS,
  });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const ADVICE: { readonly [code: string]: (variable: string) => string } = {
  ECONNREFUSED: (variable) => `nothing listens there: start PostgreSQL, or correct host and port in ${variable}`,
  ENOTFOUND: (variable) => `the host name is unknown: correct it in ${variable}`,
  EAI_AGAIN: () => "the host name cannot be looked up now: check the network's name service",
  ETIMEDOUT: (variable) => `the host does not answer: check the network, and the host in ${variable}`,
  ECONNRESET: () => "the connection was cut: try again, and see the server's log",
  "28P01": (variable) => `correct the user or the password in ${variable}`,
  "28000": (variable) => `the server admits no such user from here: correct ${variable}, or pg_hba.conf`,
  "3D000": (variable) => `run seclog setup, or correct the database's name in ${variable}`,
  "42501": () => "this role lacks a privilege: run seclog setup to renew them, or seclog doctor to see which",
  "42P01": () => "run seclog setup with SECLOG_ADMIN_URL first",
  "42703": () => "the tables are of an older seclog: run seclog setup",
  "57014": () => "narrow the time with --since and --until, or allow more with --timeout",
  "57P01": () => "the server was shut down: try again when it is back",
  "53300": () => "the server has no free connection: see seclog doctor",
};

/** The error of a failed question, in one sentence with the next step. Other errors are given back as they are. */
export function databaseError(thrown: unknown, role: Role): unknown {
  if (thrown instanceof SeclogError || !(thrown instanceof Error)) return thrown;
  const code = errorCode(thrown);
  const isDatabase =
    /^[0-9A-Z]{5}$/.test(code) ||
    /^E(CONN|HOST|NET|TIMEDOUT|NOTFOUND|AI_|PIPE)/.test(code) ||
    CLIENT_FAILURE.test(thrown.message);
  if (!isDatabase) return thrown;
  const missing = code === "42P01" || code === "3D000";
  const advice = ADVICE[code]?.(URL_VARIABLES[role]) ?? "run seclog doctor to see what is wrong";
  return new SeclogError(
    missing ? "SECLOG_SCHEMA_MISSING" : "SECLOG_DATABASE",
    `the database (${role}) says: ${errorMessage(thrown) || code}; ${advice}`,
    { cause: thrown },
  );
}

/** What pg says by itself, without a code. */
const CLIENT_FAILURE = /timeout|terminated|SSL|SASL|certificate|Connection ended/i;

function errorCode(error: Error): string {
  // Node tries several addresses of a host and throws all the failures together.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return (first as NodeJS.ErrnoException | undefined)?.code ?? "";
}
