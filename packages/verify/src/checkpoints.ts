/** Checks who signed the log's checkpoints, and whether that key was allowed to. */

import { byteaValue, copyValues } from "./copy-values.ts";
import type { Findings } from "./findings.ts";
import { HASH_BYTES } from "./hashing.ts";
import { type OpenedCheckpoint, openCheckpoint, VerifyError, type Vkey } from "./note.ts";

/** A root that the tree must have at a size. */
export interface ExpectedRoot {
  readonly size: number;
  /** 32 Latin-1 characters. */
  readonly root: string;
  /** Whether a key that may sign this size has signed it. */
  readonly trusted: boolean;
  /** The file of a checkpoint that was kept elsewhere. */
  readonly file?: string;
  readonly note: string;
  readonly createdAt?: string;
  /** The names and ids of the keys that signed it; empty without one. */
  readonly signers: string;
}

/**
 * Checks each key against the sizes that it may sign. Keys come in the order of their rotation: the first checkpoint of
 * a key must also be signed by the key before it, whose signature alone is worth nothing from there on.
 */
export class Signers {
  readonly #keys: readonly Vkey[];
  readonly #findings: Findings;
  /** Index of the newest key that has signed so far; -1 before any. */
  #active = -1;
  /** The first and the last size that each key signed. */
  readonly #sizes = new Map<Vkey, { first: number; last: number }>();
  /** Checkpoints before the first that a named key signed. */
  unnamed = 0;
  verified = 0;
  /** The newest stored checkpoint that an allowed key signed. */
  newest: ExpectedRoot | undefined;
  #newestSigners: readonly Vkey[] = [];
  #newestSize = 0;

  /** @param from the checkpoint to begin with, whose signers count as having signed */
  constructor(keys: readonly Vkey[], findings: Findings, from: OpenedCheckpoint | undefined) {
    this.#keys = keys;
    this.#findings = findings;
    if (from === undefined) return;
    for (const key of from.signers) this.#sizes.set(key, { first: from.size, last: from.size });
    this.#active = Math.max(...from.signers.map((key) => keys.indexOf(key)));
  }

  /** Checks a row of the answer to `checkpoints`. Rows come in the order of their sizes. */
  stored(line: string): ExpectedRoot {
    const [size = "", origin = "", root = "", createdAt, lines] = copyValues(line);
    const hash = byteaValue(root ?? "");
    const note = `${origin}\n${size}\n${hash.toString("base64")}\n\n${lines ?? ""}`;
    const what = { size: Number(size), root: hash.toString("latin1"), note, createdAt: createdAt ?? "" };
    this.#newestSize = what.size;
    this.#newestSigners = [];
    let opened: OpenedCheckpoint;
    try {
      if (hash.length !== HASH_BYTES) throw new VerifyError("its root is not a hash");
      opened = openCheckpoint(note, this.#keys, "allow");
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.#findings.add(
        "checkpoint",
        `the checkpoint of ${size} leaves does not verify: ${error.message}; its root or its signature was changed`,
        { leaf: Number(size) },
      );
      return { ...what, trusted: false, signers: "" };
    }
    this.#newestSigners = opened.signers;
    const trusted = this.#mayHaveSigned(opened, "the checkpoint");
    if (opened.signers.length > 0) this.verified++;
    const expected = { ...what, trusted, signers: idsOf(opened.signers) };
    if (trusted) this.newest = expected;
    return expected;
  }

  /**
   * The root that a checkpoint kept elsewhere expects. Any named key may have signed it: only the stored checkpoints
   * show which key sealed when, and those are in doubt.
   */
  elsewhere({ size, root, note, signers }: OpenedCheckpoint, file: string): ExpectedRoot {
    return { size, root, note, trusted: true, file, signers: idsOf(signers) };
  }

  #mayHaveSigned({ size, signers, unknown }: OpenedCheckpoint, what: string): boolean {
    const positions = signers.map((key) => this.#keys.indexOf(key));
    const newest = Math.max(-1, ...positions);
    const at = { leaf: size };
    if (newest < 0) {
      if (this.#active < 0) this.unnamed++;
      else {
        this.#findings.add(
          "checkpoint",
          `${what} of ${size} leaves is not signed by any of the keys named, but by ${unknown.slice(0, 3).join(", ")}`,
          at,
        );
      }
      return false;
    }
    if (newest < this.#active) {
      const retired = this.#keys[newest] as Vkey;
      const active = this.#keys[this.#active] as Vkey;
      this.#findings.add(
        "checkpoint",
        `${what} of ${size} leaves is signed only by ${nameOf(retired)}, which was retired: ${nameOf(active)} has signed from ${this.#sizes.get(active)?.first} leaves on`,
        at,
      );
      return false;
    }
    if (newest > this.#active && this.#active >= 0 && !positions.includes(this.#active)) {
      const before = this.#keys[this.#active] as Vkey;
      this.#findings.add(
        "checkpoint",
        `${what} of ${size} leaves is the first that ${nameOf(this.#keys[newest] as Vkey)} signed, but ${nameOf(before)}, the key before, did not sign it: a rotation needs both signatures`,
        at,
      );
    }
    this.#active = Math.max(this.#active, newest);
    for (const key of signers) {
      const known = this.#sizes.get(key);
      if (known === undefined) this.#sizes.set(key, { first: size, last: size });
      else known.last = Math.max(known.last, size);
    }
    return true;
  }

  /** Checks that the newest checkpoint covers the whole tree and is signed by the last key. */
  end(size: number): void {
    const last = this.#keys.at(-1);
    if (size === 0 || last === undefined) return;
    if (this.#newestSize !== size) {
      this.#findings.add(
        "checkpoint",
        `the tree has ${size} leaves, but no checkpoint has that size: it was removed, or the tree was changed`,
      );
    } else if (!this.#newestSigners.includes(last)) {
      this.#findings.add(
        "checkpoint",
        `the newest checkpoint, of ${size} leaves, is not signed by ${nameOf(last)}, the last key named`,
      );
    }
  }

  /** The keys, with the first and last sizes that they signed. */
  keys(): { readonly vkey: string; readonly first_size: number | null; readonly last_size: number | null }[] {
    return this.#keys.map((key) => {
      const sizes = this.#sizes.get(key);
      return { vkey: key.text, first_size: sizes?.first ?? null, last_size: sizes?.last ?? null };
    });
  }
}

function nameOf(key: Vkey): string {
  return `${key.name}+${key.id}`;
}

function idsOf(keys: readonly Vkey[]): string {
  return keys.map(nameOf).join(" and ");
}
