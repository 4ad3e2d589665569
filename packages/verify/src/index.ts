/**
 * The verifier of a Seclog security event log. It depends on nothing but Node, and shares no code with what writes the log.
 */
export { exportingLog, folderLog } from "./export-folder.ts";
export type { Finding, FindingKind } from "./findings.ts";
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
export { databaseLog, type Part, type RawLog, SNAPSHOT_SETTINGS } from "./raw-log.ts";
export type { RemovalReport } from "./removals.ts";
export { type VerifyLogOptions, type VerifyReport, verifyLog } from "./verify-log.ts";
