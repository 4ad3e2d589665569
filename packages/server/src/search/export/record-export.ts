/** Records in the log that it was exported. */
import { createSecurityLog, SeclogError } from "seclog";
import { postgresHandler } from "seclog/postgres";

/** What the event says of an export. */
export interface ExportRecord {
  readonly format: string;
  readonly filter: string;
  /** Who exports. @default unknown: the program's user is not among the log's people */
  readonly actor?: string | undefined;
  readonly rows?: number;
  /** The SHA-256 of the manifest. */
  readonly sha256?: string;
  readonly reason: "started" | "resumed" | "finished";
}

/** How long storing the event may take, in milliseconds. */
const DEADLINE_MS = 15_000;

/**
 * Stores an event `log_export` as an application's would be, and resolves when PostgreSQL has it.
 *
 * @throws SeclogError with the first failure of the handler: a person waits, and can try again
 */
export async function recordExport(writerUrl: string, record: ExportRecord): Promise<void> {
  const handler = postgresHandler({ url: writerUrl });
  let stored = false;
  let fail: (error: SeclogError) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const unrecorded = (why: string): SeclogError =>
    new SeclogError("SECLOG_DATABASE", `the export could not be recorded in the log: ${why}`);
  const log = createSecurityLog({
    service: "seclog export",
    spool: "memory",
    handlers: [handler],
    heartbeat: false,
    diagnostics: ({ level, message, handler: name }) => {
      if (name === handler.name && level !== "info") fail(unrecorded(message));
    },
  });
  const timer = setTimeout(() => fail(unrecorded(`no answer within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  try {
    await Promise.race([log.recordSecurityEvent("log_export", null, { ...record }).stored, failed]);
    stored = true;
  } finally {
    clearTimeout(timer);
    await log.close(stored ? {} : { deadline: 0 });
  }
}
