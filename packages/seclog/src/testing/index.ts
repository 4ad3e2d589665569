/**
 * For tests of applications that record events (`memoryLog`, `expectEvent`), of custom handlers
 * (`handlerContract`), and of captures for other frameworks (`captureContract`).
 */
export {
  type CaptureContractCase,
  type CaptureContractOptions,
  type CaptureFixture,
  CONTRACT,
  captureContract,
} from "./capture-contract.ts";
export {
  EXAMPLE_SOURCE,
  type ExampleBatchOptions,
  exampleBatch,
  exampleEvent,
} from "./example-events.ts";
export {
  type HandlerContractCase,
  type HandlerContractOptions,
  type HandlerFixture,
  type HandlerPromise,
  handlerContract,
} from "./handler-contract.ts";
export {
  type ExpectedType,
  expectEvent,
  type ReadableLog,
  type RecordedOptions,
  type SeclogMatchers,
  seclogMatchers,
} from "./matchers.ts";
export type { AsymmetricMatcher, ExpectedEvent } from "./matching.ts";
export { type MemoryLog, type MemoryLogOptions, memoryLog } from "./memory-log.ts";
