/** For operators: what a spool holds, and how to ship one whose process is gone. */
export { type DrainOptions, type DrainResult, drainSpool } from "./ship/drain-spool.ts";
export { inspectSpool, type SpooledSource, type SpoolState } from "./ship/inspect-spool.ts";
