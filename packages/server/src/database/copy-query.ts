/** Streams the result of a query of any size by COPY, which neither side has to hold in memory. */
import type { Readable } from "node:stream";
import { databaseError } from "./failure.ts";
import { Session } from "./session.ts";

/** A statement with its values, as Kysely compiles it. */
export interface CompiledStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** A COPY under way. */
export interface CopyQuery {
  /** The rows, in COPY's text form. */
  readonly stream: Readable;
  /** Ends the transaction and the connection, even in the middle. */
  close(): Promise<void>;
}

/**
 * Starts a COPY of a query's result in a snapshot of its own.
 *
 * COPY takes no parameters, so each value becomes a setting of the transaction that the statement reads: no value stands
 * in the text of the SQL.
 *
 * @throws SeclogError for a failure of the database; those of the stream are for the caller to translate
 */
export async function copyQuery(url: string, { sql, parameters }: CompiledStatement): Promise<CopyQuery> {
  try {
    const session = await Session.open({
      role: "reader",
      url,
      purpose: "seclog export",
      access: "READ ONLY",
      statementTimeout: 0,
      idleTimeout: 0,
    });
    try {
      await session.begin("REPEATABLE READ");
      await noticeLeaving(session);
      for (const [index, value] of parameters.entries()) {
        await session.client.query("SELECT set_config($1, $2, true)", [settingOf(index + 1), value]);
      }
      const text = sql.replace(/\$(\d+)/g, (_, number: string) => {
        const isNumber = typeof parameters[Number(number) - 1] === "number";
        return `current_setting('${settingOf(Number(number))}')${isNumber ? "::bigint" : ""}`;
      });
      const stream = session.copyTo(`COPY (${text}) TO STDOUT`);
      return {
        stream,
        async close() {
          stream.destroy();
          await session.end();
        },
      };
    } catch (error) {
      await session.end();
      throw error;
    }
  } catch (error) {
    throw databaseError(error, "reader");
  }
}

/**
 * Lets the server look every second whether we are still there: otherwise one that sorts, or waits for a lock, notices it
 * at the first row only. Servers on Windows, and older ones on macOS, cannot.
 */
async function noticeLeaving({ client }: Session): Promise<void> {
  await client.query("SAVEPOINT noticing");
  await client
    .query("SET LOCAL client_connection_check_interval = 1000")
    .catch(() => client.query("ROLLBACK TO SAVEPOINT noticing"));
}

function settingOf(number: number): string {
  return `seclog.p${number}`;
}
