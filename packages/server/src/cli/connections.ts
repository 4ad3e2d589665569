/** Database connections for the length of a command. */
import { OwnerConnection } from "../database/owner.ts";
import { type Database, openReader } from "../database/reader.ts";
import { unlessInterrupted } from "../terminal/interruption.ts";

/**
 * Does work as the owner of the tables and then closes the connection. After an interruption it leaves the connection
 * open: the program exits at once and must not wait for a running statement.
 */
export async function withOwner<T>(
  signal: AbortSignal,
  database: string | undefined,
  work: (owner: OwnerConnection) => Promise<T>,
): Promise<T> {
  const owner = await unlessInterrupted(signal, OwnerConnection.open(database));
  try {
    return await work(owner);
  } finally {
    if (!signal.aborted) await owner.close();
  }
}

/** As {@link withOwner}, as the reader. @param statementTimeout in milliseconds; 30 seconds if `undefined` */
export async function withReader<T>(
  signal: AbortSignal,
  statementTimeout: number | undefined,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = openReader(statementTimeout);
  try {
    return await work(database);
  } finally {
    if (!signal.aborted) await database.destroy();
  }
}
