/** For those who write handlers, and for programs that ship a spool left behind. */
export { type DrainOptions, type DrainResult, drainSpool } from "./drain-spool.ts";
export {
  type BatchSource,
  type EventBatch,
  eventBatch,
  type FailureKind,
  HandlerError,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "./handler.ts";
export { inspectSpool, type SpooledSource, type SpoolState } from "./inspect-spool.ts";
