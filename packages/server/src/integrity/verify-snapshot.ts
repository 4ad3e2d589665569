/** The database as the verifier reads it. */
import { databaseLog, type RawLog, SNAPSHOT_SETTINGS } from "@seclog/verify";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import { Session } from "../database/session.ts";

/** The log in one snapshot of its database: what is sealed meanwhile does not disturb. */
export interface LogSnapshot {
  readonly log: RawLog;
  /** The connection, for the caller to end. Not while an answer is being read: it would be read to its end first. */
  readonly client: pg.Client;
}

/**
 * Opens a connection in whose one transaction everything is read.
 *
 * @param url of the reader
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
    // The verifier reads the rows as they are, and trusts nothing that the database says of itself.
    schema: "any",
  });
  const { client } = session;
  try {
    await session.begin("REPEATABLE READ");
    // Neither the settings nor LOCK take the snapshot, the first query does. A partition that is dropped between the snapshot and its
    // lock would be gone, and the record of its removal not seen. This locks the partitions, too.
    await client.query("LOCK TABLE public.security_event_log IN ACCESS SHARE MODE");
    return { log: databaseLog((sql) => client.query(copyStreams.to(sql))), client };
  } catch (error) {
    await session.end();
    throw error;
  }
}
