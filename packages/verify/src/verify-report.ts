/** The result of a verification. */
import type { Finding } from "./findings.ts";
import type { RemovalReport } from "./removals.ts";

/** What a verification found. `--json` prints it as it is. */
export interface VerifyReport {
  readonly intact: boolean;
  readonly origin: string;
  /** Leaves in the tree, and the first of those that were looked at. */
  readonly size: number;
  readonly from: number;
  /** In hexadecimal. */
  readonly root: string;
  /** When the snapshot was taken, and when its newest checkpoint was, by the database's clock. */
  readonly read_at: string;
  readonly sealed_at: string | null;
  /** Events that are there, as they were sealed; quarantined records and erased events are not among them. */
  readonly events: number;
  readonly sources: number;
  readonly quarantined: number;
  readonly erased: number;
  readonly erasures: number;
  readonly pruned: number;
  readonly prunings: number;
  /** What was taken away on record. */
  readonly removals: readonly RemovalReport[];
  /** Events that no range covers yet, and since when the oldest of them is there. */
  readonly unsealed: number;
  readonly oldest_unsealed_at: string | null;
  readonly checkpoints: number;
  /** Checkpoints below the first that a named key has signed. */
  readonly checkpoints_of_other_keys: number;
  readonly checkpoints_elsewhere: number;
  readonly keys: readonly {
    readonly vkey: string;
    readonly first_size: number | null;
    readonly last_size: number | null;
  }[];
  /** The first findings. */
  readonly findings: readonly Finding[];
  readonly findings_total: number;
  /** What is not wrong, and worth knowing. */
  readonly notes: readonly string[];
  /** The newest checkpoint that was verified, as a signed note; `null` where there is none. */
  readonly newest_note: string | null;
  /** Bytes of events that were hashed. */
  readonly hashed_bytes: number;
}
