/**
 * The results of requests with an `Idempotency-Key`, so that a sender which got no response can send again without
 * recording twice, even if the collector was killed in between.
 *
 * Before the events of a request are written, a line of `keys.ndjson` says which numbers of which source they have. After
 * a crash, the source's files in the spool show how many of them were written: a prefix, since they were numbered and
 * written in order. The next process looks before anything is shipped, and continues a repeated request behind them. A
 * line behind each request says that its events are on disk: it decides for a source whose files are gone, since they were
 * stored when the last process ended, or by `seclog ship` in the meantime.
 *
 * Two generations of 100,000 keys bound memory and disk: a key is known for at least the next 100,000 keyed requests.
 */
import { createHash } from "node:crypto";
import { closeSync, fdatasync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { errorMessage, SeclogError } from "seclog";
import { lastSpooled } from "seclog/receivers";
import { makeFolder } from "../../files/make-folder.ts";
import type { BatchResult } from "./batch-result.ts";
import { collectorFolder } from "./token-file.ts";

/** Consecutive numbers of a source: the first, and how many. */
export type SeqRun = readonly [firstSeq: number, count: number];

/** What is known of a key. */
export interface KeyedResult {
  /** SHA-256 of the request's body. */
  readonly body: string;
  /** How many of the accepted events are recorded. Fewer than all after a crash, or when the spool was full. */
  readonly recorded: number;
  /** The response, but for what was not recorded yet. */
  readonly result: BatchResult;
}

/** How far a source is on disk. */
interface Mark {
  readonly key: "";
  readonly source: string;
  readonly stored: number;
}

/** What a request's events are. */
interface Line {
  readonly key: string;
  readonly body: string;
  readonly result: BatchResult;
  /** Accepted events that were recorded before this line's. */
  readonly before: number;
  readonly source: string;
  readonly runs: readonly SeqRun[];
}

const MOST_KEYS = 100_000;
const sync = promisify(fdatasync);

export class KeyedResults {
  readonly #path: string;
  readonly #most: number;
  #file: number;
  #current: Map<string, KeyedResult> = new Map();
  #earlier: Map<string, KeyedResult>;
  #syncing: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;

  /**
   * Opens the file, and resolves what the last process left open in it. Call it before anything ships the spool.
   *
   * @param mostKeys of a generation
   * @throws SeclogError `SECLOG_SPOOL_DIRECTORY`
   */
  constructor(spool: string, mostKeys: number = MOST_KEYS) {
    this.#most = mostKeys;
    const folder = collectorFolder(spool);
    this.#path = join(folder, "keys.ndjson");
    try {
      makeFolder(folder);
      const lines = [...readLines(`${this.#path}.old`), ...readLines(this.#path)];
      this.#earlier = resolve(spool, lines, mostKeys);
      this.#file = this.#rewrite();
    } catch (cause) {
      throw new SeclogError(
        "SECLOG_SPOOL_DIRECTORY",
        `the keys of requests in ${this.#path} cannot be kept (${errorMessage(cause)}): name a spool on a disk that has room and that this user may write`,
        { cause },
      );
    }
  }

  /** What is known of a sender's key. */
  find(key: string): KeyedResult | undefined {
    return this.#current.get(key) ?? this.#earlier.get(key);
  }

  /**
   * Writes down which numbers the events of a request will have, before the first is recorded: the log writes a long batch
   * in parts, and may be killed between them.
   */
  announce(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  /**
   * Keeps the result of a request whose events were just recorded, in this turn of the event loop, and so before the log
   * has written them. Resolves when the line survives a power loss.
   *
   * @param from where the events are: numbers of `source`, behind `before` that an earlier attempt recorded
   */
  async keep(
    key: string,
    kept: KeyedResult,
    from: { readonly before: number; readonly source: string; readonly runs: readonly SeqRun[] },
  ): Promise<void> {
    const { body, result } = kept;
    const line: Line = { key, body, result, ...from };
    this.#current.set(key, kept);
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
    if (this.#current.size >= this.#most) this.#turnOver();
    await this.#synced();
  }

  /** Forgets a key whose events may not have been written: repeating the request records them again. */
  forget(key: string): void {
    this.#current.delete(key);
    this.#earlier.delete(key);
  }

  /** Notes how far a source is on disk, for a start after `seclog ship` has stored and removed it. */
  mark(source: string, stored: number): void {
    writeSync(this.#file, `${JSON.stringify({ key: "", source, stored })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }

  /** One fdatasync for all that wait; those that come during it wait for the next. */
  #synced(): Promise<void> {
    this.#waiting ??= (async () => {
      await this.#syncing;
      this.#syncing = this.#waiting;
      this.#waiting = undefined;
      await sync(this.#file);
    })();
    return this.#waiting;
  }

  #turnOver(): void {
    this.#earlier = this.#current;
    this.#current = new Map();
    const file = openSync(`${this.#path}.new`, "w", 0o600);
    fsyncSync(this.#file);
    renameSync(this.#path, `${this.#path}.old`);
    renameSync(`${this.#path}.new`, this.#path);
    const before = this.#file;
    this.#file = file;
    // Calls of fdatasync that wait for the former file.
    void (this.#waiting ?? this.#syncing ?? Promise.resolve()).finally(() => closeSync(before));
  }

  /** Writes what is known as resolved, and begins an empty file behind it. */
  #rewrite(): number {
    const old = openSync(`${this.#path}.new`, "w", 0o600);
    let text = "";
    for (const [key, { body, result, recorded }] of this.#earlier) {
      const line: Line = { key, body, result, before: recorded, source: "", runs: [] };
      text += `${JSON.stringify(line)}\n`;
      if (text.length < WRITTEN_AT_ONCE) continue;
      writeAll(old, text);
      text = "";
    }
    writeAll(old, text);
    fsyncSync(old);
    closeSync(old);
    renameSync(`${this.#path}.new`, `${this.#path}.old`);
    return openSync(this.#path, "w", 0o600);
  }
}

const WRITTEN_AT_ONCE = 1024 * 1024;

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** A key as it is kept: of one sender, and of a fixed size. */
export function keyOf(sender: string, key: string): string {
  return createHash("sha256").update(`${sender}\0${key}`).digest("base64url");
}

/** What a repeated request must have in common with the first. */
export function bodyHash(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("base64url");
}

function readLines(path: string): (Line | Mark)[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as Line | Mark];
    } catch {
      // The last line, when the machine lost its power: its events are not on disk either.
      return [];
    }
  });
}

function resolve(spool: string, lines: readonly (Line | Mark)[], most: number): Map<string, KeyedResult> {
  const known = new Map<string, KeyedResult>();
  const reached = new Map<string, number>();
  for (const line of lines) {
    const stored = line.key === "" ? (line as Mark).stored : 0;
    reached.set(line.source, Math.max(stored, reached.get(line.source) ?? 0));
  }
  for (const [source, stored] of reached) reached.set(source, lastSpooled(spool, source) ?? stored);
  for (const line of lines) {
    if (line.key === "") continue;
    const { key, body, result, before, source, runs } = line as Line;
    const last = reached.get(source) ?? 0;
    const written = runs.reduce((sum, [first, count]) => sum + Math.min(count, Math.max(0, last - first + 1)), 0);
    known.delete(key);
    if (before + written > 0 || result.accepted === 0) known.set(key, { body, result, recorded: before + written });
  }
  return new Map([...known].slice(-most));
}
