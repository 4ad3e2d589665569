/** For tests of applications that record events (`memoryLog`) and of custom handlers (`handlerContract`). */
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
export { type ExpectedEvent, type MemoryLog, type MemoryLogOptions, memoryLog } from "./memory-log.ts";
