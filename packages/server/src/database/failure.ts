/** PostgreSQL's errors: in words, with the next step, and by their codes. */
import type pg from "pg";
import { errorMessage, SeclogError } from "seclog";
import { poolerAdvice, tlsAdvice } from "seclog/postgres/schema";
import { type Role, URL_VARIABLES } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";

const ADVICE: { readonly [code: string]: (variable: string) => string } = {
  ECONNREFUSED: (variable) => `nothing listens there: start PostgreSQL, or correct the host and port in ${variable}`,
  ENOTFOUND: (variable) => `the host name is unknown: correct it in ${variable}`,
  EAI_AGAIN: () => "DNS lookup failed for now: check the network's name servers",
  ETIMEDOUT: (variable) => `the host does not respond: check the network, and the host in ${variable}`,
  ECONNRESET: () => "the connection was closed: try again, and see the server's log",
  "28P01": (variable) => `correct the user or the password in ${variable}`,
  "28000": (variable) => `the server does not admit this user from here: correct ${variable}, or pg_hba.conf`,
  "3D000": (variable) => `run ${commandLine("setup")}, or correct the database's name in ${variable}`,
  "42501": (variable) =>
    `this role lacks a privilege: run ${commandLine("setup")}, which restores the groups' privileges, or name the right role in ${variable}`,
  "42883": () => `run ${commandLine("setup")} with SECLOG_ADMIN_URL first`,
  "42P01": () => `run ${commandLine("setup")} with SECLOG_ADMIN_URL first`,
  "42703": () => `the tables are from an older seclog: run ${commandLine("setup")}`,
  "55P03": () => "another session has the log locked: try again, and see pg_stat_activity",
  "57014": () => "narrow the time range, or allow more time",
  "57P01": () => "the server shut down: try again when it is back",
  "53300": () => `the server has no free connection: see ${commandLine("doctor")}`,
};

const ROW_SECURITY = "row-level security is on, which would show a part of the log as if it were all of it";

/** The error of a failed statement, in one sentence with the next step. Returns other errors unchanged. */
export function databaseError(thrown: unknown, role: Role): unknown {
  if (thrown instanceof SeclogError || !(thrown instanceof Error)) return thrown;
  const code = errorCode(thrown);
  const known =
    tlsAdvice(thrown) ??
    poolerAdvice(thrown) ??
    (/row-level security/.test(thrown.message) ? `${ROW_SECURITY}: ${commandLine("doctor")} says where` : undefined);
  const isDatabase =
    known !== undefined ||
    /^[0-9A-Z]{5}$/.test(code) ||
    /^E(CONN|HOST|NET|TIMEDOUT|NOTFOUND|AI_|PIPE)/.test(code) ||
    CLIENT_FAILURE.test(thrown.message);
  if (!isDatabase) return thrown;
  const missing = ["42P01", "42883", "3D000"].includes(code);
  const advice = known ?? ADVICE[code]?.(URL_VARIABLES[role]) ?? `run ${commandLine("doctor")} to see what is wrong`;
  return new SeclogError(
    missing ? "SECLOG_SCHEMA_MISSING" : "SECLOG_DATABASE",
    `the database (${role}) says: ${errorMessage(thrown)}; ${advice}`,
    { cause: thrown },
  );
}

/** Errors of pg itself, which have no code. */
const CLIENT_FAILURE = /timeout|terminated|SSL|SASL|Connection ended/i;

function errorCode(error: Error): string {
  // Node tries several addresses of a host and throws all failures as one.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return (first as NodeJS.ErrnoException | undefined)?.code ?? "";
}

/**
 * Whether PostgreSQL failed with one of these codes (https://www.postgresql.org/docs/current/errcodes-appendix.html), even
 * if {@link databaseError} has wrapped the error.
 */
export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { readonly code?: unknown };
  return (typeof code === "string" && codes.includes(code)) || isCode(error.cause, ...codes);
}

/** Runs a statement that returns exactly one row. */
export async function oneRow<Row extends pg.QueryResultRow>(
  client: pg.Client,
  text: string,
  values?: unknown[],
): Promise<Row> {
  const { rows } = await client.query<Row>(text, values);
  const [row] = rows;
  if (row === undefined) throw new Error("expected one row, got none");
  return row;
}
