/** The state that all parts of one verification share. */
import type { Findings } from "./findings.ts";
import type { OwnEvent, Removals } from "./removals.ts";

/** Counts so far. */
export interface Tally {
  /** Events whose leaf matches and whose personal part is there. */
  kept: number;
  erased: number;
  pruned: number;
  quarantined: number;
  /** Events that were removed on record and are there again. */
  returned: number;
  /** Bytes of events hashed. */
  hashed: number;
}

export interface VerifyContext {
  readonly findings: Findings;
  readonly removals: Removals;
  readonly tally: Tally;
  /** Events of the log's own source, by number. */
  readonly own: Map<number, OwnEvent>;
  readonly ownSource: string;
}
