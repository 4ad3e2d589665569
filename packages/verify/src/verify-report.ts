/** The result of a verification. */
import type { Finding } from "./findings.ts";
import type { RemovalReport } from "./removals.ts";

/** What a verification found. `--json` prints exactly this. */
export interface VerifyReport {
  readonly intact: boolean;
  readonly origin: string;
  /** Leaves in the tree, and the first leaf that was verified. */
  readonly size: number;
  readonly from: number;
  /** In hexadecimal. */
  readonly root: string;
  /** When the snapshot and its newest checkpoint were taken, by the database's clock. */
  readonly read_at: string;
  readonly sealed_at: string | null;
  /** Events that are as they were sealed, without quarantined records and erased events. */
  readonly events: number;
  readonly sources: number;
  readonly quarantined: number;
  readonly erased: number;
  readonly erasures: number;
  readonly pruned: number;
  readonly prunings: number;
  /** Removals on record. */
  readonly removals: readonly RemovalReport[];
  /** Events that are not sealed yet, and when the oldest of them was stored. */
  readonly unsealed: number;
  readonly oldest_unsealed_at: string | null;
  readonly checkpoints: number;
  /** Checkpoints before the first that a named key signed. */
  readonly checkpoints_of_other_keys: number;
  readonly checkpoints_elsewhere: number;
  readonly keys: readonly {
    readonly vkey: string;
    readonly first_size: number | null;
    readonly last_size: number | null;
  }[];
  /** The first 10,000 findings; `findings_total` counts the rest. */
  readonly findings: readonly Finding[];
  readonly findings_total: number;
  /** Sentences about what is not wrong but worth knowing. */
  readonly notes: readonly string[];
  /** The newest verified checkpoint, as a signed note; `null` without one. */
  readonly newest_note: string | null;
  /** Bytes of events hashed. */
  readonly hashed_bytes: number;
}
