import type { Refused } from "./received-event.ts";

/** An event of a batch that was not recorded. */
export interface RefusedItem extends Refused {
  /** Its place in the batch, from 0. */
  readonly index: number;
}

/** What became of a batch. */
export interface BatchResult {
  /** Events that are recorded, or would be if the spool had had room. */
  readonly accepted: number;
  readonly refused: number;
  /** Those of the refused that the token does not allow. */
  readonly forbidden: number;
  /** The first of the refused. */
  readonly items: readonly RefusedItem[];
}

/** The most refused events that a result lists. */
export const MOST_LISTED = 100;
