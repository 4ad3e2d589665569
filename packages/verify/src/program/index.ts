/** Shared by the programs that verify: `seclog-verify`, and `seclog verify` and `verify-proof` of `@seclog/server`. */
export {
  readKeys,
  readText,
  readVerification,
  readWitnesses,
  saveCheckpoint,
  type Verification,
  type VerificationInputs,
} from "./inputs.ts";
export { proofDocument, proofText } from "./proof-text.ts";
export { type Page, progressText, reportHint, reportText } from "./report-text.ts";
