import type { Receipt } from "./security-log.ts";

/**
 * How a program that receives other applications' events records them: as theirs, in its own log. A global symbol, since
 * the log may come from another copy of this package.
 */
export const ON_BEHALF: unique symbol = Symbol.for("seclog.on-behalf.1");

/** Whose event it is. What an application does not name it does not have: the log's own would be another's. */
export interface Origin {
  /** The name of the sender's logger. @default the log's */
  readonly logger?: string | undefined;
  readonly service?: string | undefined;
  readonly environment?: string | undefined;
  readonly host?: string | undefined;
}

/** A receipt with the event's place in the log. */
export interface OnBehalfReceipt extends Receipt {
  /** Its number in the log's source; 0 if it was not recorded. */
  readonly seq: number;
}

/** Records an event of another application. Never throws, but for events of durability `"strict"`, as the log itself. */
export type RecordOnBehalf = (type: string, request: object | undefined, data: object | undefined) => OnBehalfReceipt;

/** The number that the log's next event will have, in the source that is current now. */
export const NEXT_SEQ: unique symbol = Symbol.for("seclog.next-seq.1");

/** A log that records for others. */
export interface OnBehalf {
  readonly [ON_BEHALF]: (origin: Origin) => RecordOnBehalf;
  readonly [NEXT_SEQ]: number;
}
