/** Every transaction begins with the settings that the promise rests on. */
import type { Session } from "./session.ts";

/** Whether the server knows `transaction_timeout` (PostgreSQL 17): one that does not would refuse the setting. To be selected. */
export const HAS_TRANSACTION_TIMEOUT = "current_setting('transaction_timeout', true) IS NOT NULL";

/**
 * The statements that begin a transaction. The settings are made in every one, not once for a connection: PgBouncer, a role's
 * or a database's settings and a user's pool may all have other ideas. `transaction_timeout` is off, since a batch may take
 * as long as each of its statements is allowed to. The keepalives make the server give up on a client that has vanished
 * within 20 seconds, so that its half-done COPY does not hold up the next try; the limit on an idle transaction covers
 * the wait for the batch before.
 *
 * @param statementTimeout in milliseconds
 */
export function beginTransaction(statementTimeout: number, hasTransactionTimeout: boolean): string {
  return [
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    ...(hasTransactionTimeout ? ["SET LOCAL transaction_timeout = 0"] : []),
    "SET LOCAL synchronous_commit = on",
    `SET LOCAL statement_timeout = ${statementTimeout}`,
    "SET LOCAL lock_timeout = 0",
    `SET LOCAL idle_in_transaction_session_timeout = ${2 * statementTimeout}`,
    "SET LOCAL tcp_keepalives_idle = 5",
    "SET LOCAL tcp_keepalives_interval = 5",
    "SET LOCAL tcp_keepalives_count = 3",
  ].join("; ");
}

/**
 * Runs `work` in a transaction and commits it; rolls back when it throws.
 *
 * @param begin what {@link beginTransaction} returned
 */
export async function inTransaction<T>(session: Session, begin: string, work: () => Promise<T>): Promise<T> {
  try {
    await session.query(begin);
    const result = await work();
    await session.query("COMMIT");
    return result;
  } catch (error) {
    await session.rollback();
    throw error;
  }
}
