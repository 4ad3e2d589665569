/** Verifies the log of a database or of an export, and can export what it reads. */
import {
  databaseLog,
  exportingLog,
  folderLog,
  InputError,
  type RawLog,
  SNAPSHOT_SETTINGS,
  type VerifyLogOptions,
  type VerifyReport,
  verifyLog,
} from "@seclog/verify";
import { SeclogError } from "seclog";
import { databaseError } from "../database/failure.ts";
import { Session } from "../database/session.ts";

export interface VerifyStoredLogOptions extends VerifyLogOptions {
  /** The reader's connection URL, or the folder of an export. */
  readonly source: { readonly url: string } | { readonly folder: string };
  /** A new folder for an export of what is read. @default none */
  readonly writeExport?: string | undefined;
  /** Abandons the verification, and its connection in the middle of a COPY. */
  readonly signal?: AbortSignal;
}

/**
 * Verifies a log, a database in one snapshot.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a wrong key, checkpoint or folder, and for every database failure
 * @throws VerifyError if what is stored cannot be read as a log
 */
export async function verifyStoredLog(options: VerifyStoredLogOptions): Promise<VerifyReport> {
  const { source, writeExport, signal, ...verification } = options;
  const begin = verification.from?.size ?? 0;
  const verify = (log: RawLog): Promise<VerifyReport> =>
    verifyLog(writeExport === undefined ? log : exportingLog(log, writeExport, begin), verification);
  try {
    if ("folder" in source) return await verify(folderLog(source.folder, begin));
    const { session, log } = await openSnapshot(source.url);
    const abandon = (): void => void session.end();
    signal?.addEventListener("abort", abandon, { once: true });
    try {
      signal?.throwIfAborted();
      return await verify(log);
    } finally {
      signal?.removeEventListener("abort", abandon);
      await session.end();
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw databaseError(error, "reader");
    throw new SeclogError("SECLOG_CONFIG", error.message, { cause: error });
  }
}

/** The log in one snapshot of its database, unaffected by what is sealed meanwhile. */
export interface LogSnapshot {
  readonly log: RawLog;
  /** The connection, which the caller must end. Ending it during a COPY reads that to its end first. */
  readonly session: Session;
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
  try {
    await session.begin("REPEATABLE READ");
    // The first query takes the snapshot, not the settings or LOCK. Without this lock, which covers the partitions too,
    // a partition could be dropped after the snapshot: its rows would be gone, and the record of the removal not
    // visible.
    await session.client.query("LOCK TABLE public.security_event_log IN ACCESS SHARE MODE");
    return { log: databaseLog((sql) => session.copyTo(sql)), session };
  } catch (error) {
    await session.end();
    throw error;
  }
}
