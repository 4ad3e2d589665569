/** The database for the length of a command. */
import { OwnerConnection } from "../database/owner.ts";
import { type Database, openReader } from "../database/reader.ts";
import { unlessInterrupted } from "../terminal/interruption.ts";

/**
 * Does work as the owner of the tables, and closes the connection. After an interruption nothing is closed: the program
 * ends at once, and a statement under way must not hold it.
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

/** Does work as the reader, as {@link withOwner} does. @param statementTimeout in milliseconds; 30 seconds where none is given */
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
