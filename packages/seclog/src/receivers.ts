/** For programs that receive other applications' events, such as `seclog collect`. */
export { nextSeq, recordOnBehalf } from "./log/record-on-behalf.ts";
export type { OnBehalfReceipt, Origin, RecordOnBehalf } from "./record/on-behalf.ts";
export { lastSpooled } from "./ship/inspect-spool.ts";
