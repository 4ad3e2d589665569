/** Transactions, each with the settings that its durability depends on. */
import type { Session } from "./session.ts";

/**
 * A SELECT expression: whether the server has `transaction_timeout` (PostgreSQL 17). An older one refuses the setting.
 */
export const HAS_TRANSACTION_TIMEOUT = "current_setting('transaction_timeout', true) IS NOT NULL";

/**
 * The statements that begin a transaction. Each transaction sets these itself rather than once per connection:
 * PgBouncer, the settings of a role or a database, or the application's pool may change them in between.
 * `transaction_timeout` is off, since each statement has a limit already. The keepalives make the server drop a client
 * that has vanished within 20 seconds, so that its unfinished COPY does not block the retry; the limit on an idle
 * transaction covers the wait for the batch before.
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
