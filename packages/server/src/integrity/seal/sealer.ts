/**
 * The sealer: one process at a time that appends to the tree and signs it.
 *
 *   take the turn ─► does the tree match the last signature? ─► find unsealed numbers ─► leaves ─► tiles, root
 *          ▲                                                                                          │
 *          └── pause ◄── published ◄── remembered ◄── COMMITTED ◄── seclog_seal ◄── signed ◄──────────┘
 *
 * It must never sign two checkpoints that fork, where neither continues the other. So:
 *
 * - The tree moves by compare-and-set in the database: if two sealers both believe that they have the turn, only one
 *   commits. The turn only saves the other one the work.
 * - A checkpoint leaves the process after its commit, never before. A signature whose commit failed is forgotten with
 *   the process; the next sealer starts from the stored tree.
 * - The newest stored checkpoint must carry a signature of the sealer's key: it never continues another signer's tree.
 * - The sealer remembers its last signed checkpoint outside the database, and proves before it continues that the stored
 *   tree begins with that one: it never continues a database that was rolled back.
 *
 * It writes the state after the commit and before publishing. If it is killed in between, the next start finds a tree ahead
 * of the state and continues it, which is consistent.
 */
import { randomUUID } from "node:crypto";
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
import { commandLine } from "../../config/program.ts";
import type { Session } from "../../database/session.ts";
import { type SignedCheckpoint, storedCheckpoint, storedTiles } from "../stored-tree.ts";
import type { SealerState } from "./state.ts";
import { readEdge, readLeaves, readTree, type StoredTree, signatureLine, writeSeal } from "./tree-store.ts";
import { Waiting } from "./waiting.ts";

/** The steps of a seal, at each of which a test may kill the process. */
export type SealStep = "begun" | "checked" | "read" | "signed" | "written" | "committed" | "remembered";

export interface SealerOptions {
  /** Its name is the log's origin. */
  readonly signer: NoteSigner;
  readonly state: SealerState;
  /** Milliseconds between two looks for unsealed events. */
  readonly intervalMs: number;
  /** The most leaves per step; the rest follows at once. @default 10000 */
  readonly mostLeaves?: number;
  /** Called as each step is reached. */
  readonly onStep?: (step: SealStep) => void;
}

/** The result of a step. */
export interface SealedStep {
  readonly checkpoint: SignedCheckpoint;
  /** The number of leaves appended. */
  readonly leaves: number;
  /** The number of leaves that record a missing number. */
  readonly missing: number;
  /** A lower bound on the numbers that several rows claim. One row of each was sealed; `verify` names the others. */
  readonly doubled: number;
  /** Whether more events can be sealed at once. */
  readonly more: boolean;
  /** Known numbers without an event, which wait behind everything else. */
  readonly empty: number;
}

const MOST_LEAVES = 10_000;
/** How long the turn outlasts the sealer's pause, and how often the sealer renews it, in milliseconds. */
const TURN_MS = 4_000;
const RENEW_MS = 1_000;
/** How often to create partitions. */
const PARTITIONS_MS = 3_600_000;

/** Seals on one connection, which it owns. After a failure of either, create both anew. */
export class Sealer {
  readonly #session: Session;
  readonly #options: SealerOptions;
  readonly #id: string = randomUUID();
  #renewed = Number.NEGATIVE_INFINITY;
  #partitionsMade = Number.NEGATIVE_INFINITY;
  #tree: TreeAppender | undefined;
  #waiting = new Waiting();
  #checked = false;
  /** Committed but not yet remembered: until then, nothing else is sealed. */
  #unremembered: string | undefined;

  constructor(session: Session, options: SealerOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** How long a turn lasts without renewal, in milliseconds. */
  get longestTurnMs(): number {
    return TURN_MS + this.#options.intervalMs;
  }

  /** Takes or renews the turn; returns whether this sealer has it. A turn expires seconds after its last renewal. */
  async takeTurn(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#renewed < RENEW_MS) return true;
    const taken = await this.#turn(this.longestTurnMs / 1_000);
    this.#renewed = taken ? now : Number.NEGATIVE_INFINITY;
    return taken;
  }

  /** Returns the turn. */
  async endTurn(): Promise<void> {
    if (this.#renewed !== Number.NEGATIVE_INFINITY) await this.#turn(0);
    this.#renewed = Number.NEGATIVE_INFINITY;
  }

  async #turn(seconds: number): Promise<boolean> {
    const { rows } = await this.#session.query<{ taken: boolean }>("SELECT public.seclog_take_turn($1, $2) AS taken", [
      this.#id,
      seconds,
    ]);
    return rows[0]?.taken === true;
  }

  /**
   * Creates the partitions of the months ahead, in a separate transaction, since a new partition locks out other sessions
   * until the commit. Events fall back to default partitions, so a failure here does not stop sealing; `doctor` reports what
   * is missing.
   */
  async makePartitions(): Promise<void> {
    if (performance.now() - this.#partitionsMade < PARTITIONS_MS) return;
    this.#partitionsMade = performance.now();
    await this.#session.query("SELECT public.seclog_make_partitions()").catch(() => {});
  }

  /** Whether some sources have not been looked at yet: there may be more to seal even if a step found nothing. */
  get isLooking(): boolean {
    return this.#waiting.isWalking;
  }

  /** Seconds since the oldest event known to wait was stored; 0 if none waits. */
  async oldestUnsealed(): Promise<number> {
    return await this.#session.transaction((client) => this.#waiting.oldest(client));
  }

  /**
   * Seals up to `mostLeaves` numbers; returns `undefined` if none were waiting.
   *
   * @throws SeclogError `SECLOG_ROLLBACK`, `SECLOG_TREE` or `SECLOG_KEY` if the tree must not be continued; otherwise the
   *   database's errors. Then nothing was appended, unless the response to COMMIT was lost, which the next step finds out.
   */
  async step(): Promise<SealedStep | undefined> {
    if (this.#unremembered !== undefined) this.#remember(this.#unremembered);
    try {
      await this.#session.begin("REPEATABLE READ");
      this.#say("begun");
      const before = await this.#continueTree();
      this.#say("checked");
      await this.#waiting.look(this.#session.client);
      const { ranges, more } = this.#waiting.next(this.#options.mostLeaves ?? MOST_LEAVES);
      if (ranges.length === 0) {
        await this.#session.client.query("COMMIT");
        return undefined;
      }
      const { leaves, events, doubled } = await readLeaves(this.#session.client, ranges, before.ownSource);
      this.#say("read");
      for (const leaf of leaves) before.tree.append(leaf);
      const { signer } = this.#options;
      const checkpoint: Checkpoint = { origin: signer.name, size: before.tree.size, root: before.tree.root() };
      const text = formatCheckpoint(checkpoint);
      const signature = signer.sign(text);
      this.#say("signed");
      await writeSeal(this.#session.client, {
        before,
        checkpoint,
        signer,
        line: signatureLine(signature),
        ranges,
        tiles: before.tree.take(),
      });
      this.#say("written");
      await this.#session.client.query("COMMIT");
      this.#say("committed");
      const note = formatNote({ text, signatures: [signature] });
      this.#remember(note);
      this.#say("remembered");
      this.#waiting.sealed(ranges, events);
      const missing = leaves.length - events.reduce((sum, count) => sum + count, 0);
      const { empty } = this.#waiting;
      return { checkpoint: { ...checkpoint, note }, leaves: leaves.length, missing, doubled, more, empty };
    } catch (error) {
      this.#tree = undefined;
      this.#checked = false;
      this.#waiting = new Waiting();
      await this.#session.client.query("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  /** The stored tree, once it is certain that it may be continued. */
  async #continueTree(): Promise<StoredTree & { readonly tree: TreeAppender }> {
    const stored = await readTree(this.#session.client);
    if (this.#tree?.size !== stored.size || !sameHash(this.#tree.root(), stored.root)) {
      this.#checked = false;
      this.#tree = new TreeAppender(stored.size, await readEdge(this.#session.client, stored.size));
    }
    if (!sameHash(this.#tree.root(), stored.root)) {
      throw new SeclogError(
        "SECLOG_TREE",
        `the tiles do not match the root of the tree of ${stored.size} leaves: they were changed; run ${commandLine("verify")}`,
      );
    }
    if (!this.#checked) {
      await this.#checkSigned(stored.size, stored.root);
      this.#checked = true;
    }
    return { ...stored, tree: this.#tree };
  }

  async #checkSigned(size: number, root: Uint8Array): Promise<void> {
    const { signer, state } = this.#options;
    if (size > 0) {
      const newest = await storedCheckpoint(this.#session.client);
      if (newest?.size !== size || !sameHash(newest.root, root)) {
        throw new SeclogError(
          "SECLOG_TREE",
          `the tree has ${size} leaves, and the newest checkpoint ${newest?.size ?? "is missing"}: one of them was changed; run ${commandLine("verify")}`,
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
          `the newest checkpoint, of ${size} leaves, is not signed by ${signer.vkey}: use the key that seals this log, or if it is lost, see docs/operations.md`,
          { cause },
        );
      }
    }
    const last = state.last();
    if (last === undefined) return;
    const signed = parseCheckpoint(last);
    if (signed.origin !== signer.name) {
      throw new SeclogError(
        "SECLOG_KEY",
        `${state.path} is of the log ${signed.origin}, and the key is that of ${signer.name}`,
      );
    }
    if (signed.size > size) {
      throw new SeclogError(
        "SECLOG_ROLLBACK",
        `the tree has ${size} leaves, but ${signed.size} were signed before: the database was rolled back, or is another one (${state.path})`,
      );
    }
    const proof = await consistencyProof(signed.size, size, storedTiles(this.#session.client));
    if (!verifyConsistency(signed.size, signed.root, size, root, proof)) {
      throw new SeclogError(
        "SECLOG_ROLLBACK",
        `the tree of ${size} leaves does not begin with the ${signed.size} that were signed before: its history was rewritten (${state.path})`,
      );
    }
  }

  #remember(note: string): void {
    this.#unremembered = note;
    this.#options.state.remember(note);
    this.#unremembered = undefined;
  }

  #say(step: SealStep): void {
    this.#options.onStep?.(step);
  }
}
