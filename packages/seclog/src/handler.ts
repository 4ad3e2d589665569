/** For those who write a handler: the contract, the failures that the shipper understands, and a batch to try it with. */
export {
  type BatchSource,
  type EventBatch,
  eventBatch,
  type FailureKind,
  HandlerError,
  type HandlerModule,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "./ship/handler.ts";
