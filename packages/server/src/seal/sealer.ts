/**
 * The sealer: the one process at a time that appends to the tree and signs.
 *
 *   try for the lock ─► is the tree what was signed last? ─► what is there to seal? ─► leaves ─► tiles, root
 *          ▲                                                                                        │
 *          └── a moment ◄── published ◄── remembered ◄── COMMITTED ◄── seclog_seal ◄── signed ◄──────┘
 *
 * What must never happen is two signed checkpoints of which neither continues the other. So:
 *
 * - The tree moves by compare-and-set in the database: of two sealers that both believe they have the lock, one commits.
 *   The lock only saves the other the work.
 * - A checkpoint leaves the process after its commit, never before. A signature whose commit failed is forgotten with
 *   the process; whoever comes next starts from the tree that is stored.
 * - The newest stored checkpoint must bear the signature of the sealer's key. Nobody else's tree is continued.
 * - The sealer remembers, outside the database, the checkpoint that it signed last, and proves before it goes on that the
 *   stored tree still begins with that one. A database that was rolled back is not continued.
 *
 * The memory is written after the commit and before anything is published. Killed in between, the sealer finds at its next
 * start a tree that is ahead of its memory and continues it: that is consistent.
 */
import type { Client } from "pg";
import { SeclogError } from "seclog";
import {
  type Checkpoint,
  consistencyProof,
  formatCheckpoint,
  formatNote,
  type NoteSigner,
  openNote,
  parseCheckpoint,
  sameHash,
  TreeAppender,
  verifyConsistency,
} from "seclog/merkle";
import { commandLine } from "../program.ts";
import { type SignedCheckpoint, storedCheckpoint, storedTiles } from "../stored-tree.ts";
import type { SealMemory } from "./memory.ts";
import { pendingRanges, readEdge, readLeaves, readTree, signatureLine, writeSeal } from "./tree-store.ts";

/** The moments of a seal at which a test may end the process. */
export type SealStep = "begun" | "checked" | "read" | "signed" | "written" | "committed" | "remembered";

export interface SealerOptions {
  /** Whose name is the log's origin. */
  readonly signer: NoteSigner;
  readonly memory: SealMemory;
  /** The most leaves in one step; what is beyond follows at once. @default 10000 */
  readonly mostLeaves?: number;
  /** Told of each step as it is reached. */
  readonly onStep?: (step: SealStep) => void;
}

/** What a step did. */
export interface SealedStep {
  readonly checkpoint: SignedCheckpoint;
  /** How many leaves it appended. */
  readonly leaves: number;
  /** How many of them say that a number was missing. */
  readonly missing: number;
  /** Whether there is more to seal at once. */
  readonly more: boolean;
}

/** "SECLOG" in ASCII, plus 3: not a number that setup or partitions lock. */
const SEALER_LOCK = "91556946923338";
const MOST_LEAVES = 10_000;
/** How often sources that have been at rest are looked at, in steps. */
const LOOK_AT_ALL = 60;

/** Seals on one connection, which it owns until the connection or it fails; then a new one is made of each. */
export class Sealer {
  readonly #client: Client;
  readonly #options: SealerOptions;
  #tree: TreeAppender | undefined;
  #looks = 0;
  #checked = false;
  /** Committed, and not yet remembered: before that is done nothing else is sealed. */
  #unremembered: string | undefined;

  constructor(client: Client, options: SealerOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Whether this is the sealer now. Another one's lock is released when its connection ends. */
  async lock(): Promise<boolean> {
    const { rows } = await this.#client.query<{ locked: boolean }>(
      `SELECT pg_try_advisory_lock(${SEALER_LOCK}) AS locked`,
    );
    return rows[0]?.locked === true;
  }

  /**
   * Seals what is there, at most `mostLeaves`; `undefined` when there was nothing.
   *
   * @throws SeclogError `SECLOG_ROLLBACK`, `SECLOG_TREE` or `SECLOG_KEY` when the tree must not be continued; whatever the database
   *   says otherwise. Nothing was appended then, unless the answer to the commit was lost, which the next step finds out.
   */
  async step(): Promise<SealedStep | undefined> {
    if (this.#unremembered !== undefined) this.#remember(this.#unremembered);
    const all = this.#looks++ % LOOK_AT_ALL === 0;
    try {
      await this.#client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
      this.#say("begun");
      const before = await this.#continueTree();
      this.#say("checked");
      const { ranges, more } = await pendingRanges(this.#client, all, this.#options.mostLeaves ?? MOST_LEAVES);
      if (ranges.length === 0) {
        await this.#client.query("COMMIT");
        return undefined;
      }
      const { leaves, missing } = await readLeaves(this.#client, ranges);
      this.#say("read");
      for (const leaf of leaves) before.tree.append(leaf);
      const { signer } = this.#options;
      const checkpoint: Checkpoint = { origin: signer.name, size: before.tree.size, root: before.tree.root() };
      const text = formatCheckpoint(checkpoint);
      const signature = signer.sign(text);
      this.#say("signed");
      await writeSeal(this.#client, {
        before,
        checkpoint,
        signer,
        line: signatureLine(signature),
        ranges,
        tiles: before.tree.take(),
      });
      this.#say("written");
      await this.#client.query("COMMIT");
      this.#say("committed");
      const note = formatNote({ text, signatures: [signature] });
      this.#remember(note);
      this.#say("remembered");
      // What a full look left is looked for by a full look.
      if (more && all) this.#looks = 0;
      return { checkpoint: { ...checkpoint, note }, leaves: leaves.length, missing, more };
    } catch (error) {
      this.#tree = undefined;
      this.#checked = false;
      await this.#client.query("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  /** The tree that stands, once it is sure that it may be continued. */
  async #continueTree(): Promise<{ readonly size: number; readonly root: Uint8Array; readonly tree: TreeAppender }> {
    const stored = await readTree(this.#client);
    if (this.#tree?.size !== stored.size || !sameHash(this.#tree.root(), stored.root)) {
      this.#checked = false;
      this.#tree = new TreeAppender(stored.size, await readEdge(this.#client, stored.size));
    }
    if (!sameHash(this.#tree.root(), stored.root)) {
      throw new SeclogError(
        "SECLOG_TREE",
        `the tiles do not make the root of the tree of ${stored.size} leaves: somebody changed them; run ${commandLine("verify")}`,
      );
    }
    if (!this.#checked) {
      await this.#checkSigned(stored.size, stored.root);
      this.#checked = true;
    }
    return { ...stored, tree: this.#tree };
  }

  async #checkSigned(size: number, root: Uint8Array): Promise<void> {
    const { signer, memory } = this.#options;
    if (size > 0) {
      const newest = await storedCheckpoint(this.#client);
      if (newest?.size !== size || !sameHash(newest.root, root)) {
        throw new SeclogError(
          "SECLOG_TREE",
          `the tree has ${size} leaves, and the newest checkpoint ${newest?.size ?? "is missing"}: somebody changed one of them; run ${commandLine("verify")}`,
        );
      }
      if (newest.origin !== signer.name) {
        throw new SeclogError("SECLOG_KEY", `this is the log ${newest.origin}, and the key is that of ${signer.name}`);
      }
      try {
        openNote(newest.note, [signer]);
      } catch (cause) {
        throw new SeclogError(
          "SECLOG_KEY",
          `the newest checkpoint, of ${size} leaves, is not signed by ${signer.vkey}: take the key that seals this log, or if there is none, see docs/operations.md`,
          { cause },
        );
      }
    }
    const last = memory.last();
    if (last === undefined) return;
    const signed = parseCheckpoint(last);
    if (signed.origin !== signer.name) {
      throw new SeclogError(
        "SECLOG_KEY",
        `${memory.path} is of the log ${signed.origin}, and the key is that of ${signer.name}`,
      );
    }
    if (signed.size > size) {
      throw new SeclogError(
        "SECLOG_ROLLBACK",
        `the tree has ${size} leaves, but ${signed.size} were signed before: the database was rolled back, or is another one (${memory.path})`,
      );
    }
    const proof = await consistencyProof(signed.size, size, storedTiles(this.#client));
    if (!verifyConsistency(signed.size, signed.root, size, root, proof)) {
      throw new SeclogError(
        "SECLOG_ROLLBACK",
        `the tree of ${size} leaves does not begin with the ${signed.size} that were signed before: its history was rewritten (${memory.path})`,
      );
    }
  }

  #remember(note: string): void {
    this.#unremembered = note;
    this.#options.memory.remember(note);
    this.#unremembered = undefined;
  }

  #say(step: SealStep): void {
    this.#options.onStep?.(step);
  }
}
