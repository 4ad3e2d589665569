/** Opens the database for the verifier. */
import { databaseLog, type RawLog, SNAPSHOT_SETTINGS } from "@seclog/verify";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import { Session } from "../database/session.ts";

/** The log in one snapshot of its database, unaffected by what is sealed meanwhile. */
export interface LogSnapshot {
  readonly log: RawLog;
  /** The connection, which the caller must end. Ending it during a COPY reads that to its end first. */
  readonly client: pg.Client;
}

/**
 * Opens a connection with one transaction for everything that the verifier reads.
 *
 * @param url the reader's connection string
 * @throws what pg throws
 */
export async function openSnapshot(url: string): Promise<LogSnapshot> {
  const session = await Session.open({
    role: "reader",
    url,
    purpose: "seclog verify",
    access: "READ ONLY",
    statementTimeout: 0,
    idleTimeout: 0,
    settings: SNAPSHOT_SETTINGS,
    // The verifier reads the rows as they are, and does not trust what the database says about its schema.
    schema: "any",
  });
  const { client } = session;
  try {
    await session.begin("REPEATABLE READ");
    // The first query takes the snapshot, not the settings or LOCK. Without this lock, which covers the partitions too,
    // a partition could be dropped after the snapshot: its rows would be gone, and the record of the removal not
    // visible.
    await client.query("LOCK TABLE public.security_event_log IN ACCESS SHARE MODE");
    return { log: databaseLog((sql) => client.query(copyStreams.to(sql))), client };
  } catch (error) {
    await session.end();
    throw error;
  }
}
