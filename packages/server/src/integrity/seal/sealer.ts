/**
 * The sealer: the one process at a time that appends to the tree and signs.
 *
 *   try for the turn ─► is the tree what was signed last? ─► what is there to seal? ─► leaves ─► tiles, root
 *          ▲                                                                                        │
 *          └── a moment ◄── published ◄── remembered ◄── COMMITTED ◄── seclog_seal ◄── signed ◄──────┘
 *
 * What must never happen is two signed checkpoints of which neither continues the other. So:
 *
 * - The tree moves by compare-and-set in the database: of two sealers that both believe it is their turn, one commits.
 *   The turn only saves the other the work.
 * - A checkpoint leaves the process after its commit, never before. A signature whose commit failed is forgotten with
 *   the process; whoever comes next starts from the tree that is stored.
 * - The newest stored checkpoint must bear the signature of the sealer's key. Nobody else's tree is continued.
 * - The sealer remembers, outside the database, the checkpoint that it signed last, and proves before it goes on that the
 *   stored tree still begins with that one. A database that was rolled back is not continued.
 *
 * The state is written after the commit and before anything is published. Killed in between, the sealer finds at its next
 * start a tree that is ahead of its state and continues it: that is consistent.
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

/** The moments of a seal at which a test may end the process. */
export type SealStep = "begun" | "checked" | "read" | "signed" | "written" | "committed" | "remembered";

export interface SealerOptions {
  /** Whose name is the log's origin. */
  readonly signer: NoteSigner;
  readonly state: SealerState;
  /** Milliseconds between two looks at what there is to seal. */
  readonly intervalMs: number;
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
  /** Numbers that several rows claim; there may be more of them. One row of each was sealed, `verify` names the others. */
  readonly doubled: number;
  /** Whether there are more events to seal at once. */
  readonly more: boolean;
  /** Numbers without an event that wait behind everything else, as far as is known. */
  readonly empty: number;
}

const MOST_LEAVES = 10_000;
/** For how much longer than it may rest a sealer has the turn, and how often it renews that, in milliseconds. */
const TURN_MS = 4_000;
const RENEW_MS = 1_000;
/** How often partitions are looked at. */
const PARTITIONS_MS = 3_600_000;

/** Seals on one connection, which it owns until the connection or it fails; then a new one is made of each. */
export class Sealer {
  readonly #session: Session;
  readonly #options: SealerOptions;
  readonly #id: string = randomUUID();
  #renewed = Number.NEGATIVE_INFINITY;
  #partitionsMade = Number.NEGATIVE_INFINITY;
  #tree: TreeAppender | undefined;
  #waiting = new Waiting();
  #checked = false;
  /** Committed, and not yet remembered: before that is done nothing else is sealed. */
  #unremembered: string | undefined;

  constructor(session: Session, options: SealerOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** Milliseconds for which a turn lasts that is not renewed. */
  get longestTurnMs(): number {
    return TURN_MS + this.#options.intervalMs;
  }

  /** Whether this is the sealer now. A turn that is not renewed is over after seconds. */
  async takeTurn(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#renewed < RENEW_MS) return true;
    const taken = await this.#turn(this.longestTurnMs / 1_000);
    this.#renewed = taken ? now : Number.NEGATIVE_INFINITY;
    return taken;
  }

  /** Gives the turn back. */
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
   * Makes the partitions of the months ahead, in a transaction of its own: a new one keeps everybody out until it ends. Events
   * need none, there are default ones, so nothing that fails here is in the way of sealing; `doctor` says what is missing.
   */
  async makePartitions(): Promise<void> {
    if (performance.now() - this.#partitionsMade < PARTITIONS_MS) return;
    this.#partitionsMade = performance.now();
    await this.#session.query("SELECT public.seclog_make_partitions()").catch(() => {});
  }

  /** Whether a step would look at sources that none has looked at: there may be more to seal although a step found nothing. */
  get isLooking(): boolean {
    return this.#waiting.isWalking;
  }

  /** Seconds since the oldest event was stored that waits, as far as is known; 0 when none does. */
  async oldestUnsealed(): Promise<number> {
    return await this.#session.transaction((client) => this.#waiting.oldest(client));
  }

  /**
   * Seals what is there, at most `mostLeaves`; `undefined` when there was nothing.
   *
   * @throws SeclogError `SECLOG_ROLLBACK`, `SECLOG_TREE` or `SECLOG_KEY` when the tree must not be continued; whatever the database
   *   says otherwise. Nothing was appended then, unless the answer to the commit was lost, which the next step finds out.
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

  /** The tree that stands, once it is sure that it may be continued. */
  async #continueTree(): Promise<StoredTree & { readonly tree: TreeAppender }> {
    const stored = await readTree(this.#session.client);
    if (this.#tree?.size !== stored.size || !sameHash(this.#tree.root(), stored.root)) {
      this.#checked = false;
      this.#tree = new TreeAppender(stored.size, await readEdge(this.#session.client, stored.size));
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
    const { signer, state } = this.#options;
    if (size > 0) {
      const newest = await storedCheckpoint(this.#session.client);
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
