/**
 * Verifies a Seclog security event log. It depends on nothing but Node, and shares no code with the write path.
 */

export { databaseLog, SNAPSHOT_SETTINGS } from "./database-log.ts";
export { type FilesReport, type VerifyFilesOptions, verifyFiles } from "./export-files.ts";
export { exportingLog, folderLog } from "./export-folder.ts";
export type { Finding, FindingKind } from "./findings.ts";
export type { KeptCheckpoint } from "./kept-checkpoints.ts";
export {
  type Checkpoint,
  InputError,
  type OpenedCheckpoint,
  openCheckpoint,
  readVkey,
  splitNotes,
  VerifyError,
  type Vkey,
} from "./note.ts";
export { type ProvenEvent, verifyProof } from "./proof.ts";
export type { Part, RawLog } from "./raw-log.ts";
export type { RemovalReport } from "./removals.ts";
export { type VerifyLogOptions, verifyLog } from "./verify-log.ts";
export type { VerifyReport } from "./verify-report.ts";
