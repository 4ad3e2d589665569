/** For authors of handlers: the contract, the failures that the shipper understands, and a batch to test with. */
export { failureOf } from "./ship/failure.ts";
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
