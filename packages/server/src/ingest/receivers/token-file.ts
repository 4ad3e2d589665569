/**
 * The file of the tokens, beside the collector's spool. Not a table: a collector takes events while the database is away,
 * which is what its spool is for, and has to know its senders then.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errorMessage, SeclogError } from "seclog";
import { makeFolder } from "../../files/make-folder.ts";
import { createToken, type NewToken, type TokenEntry } from "./token.ts";

/** The folder of a spool that holds the collector's own files. */
export function collectorFolder(spool: string): string {
  return join(spool, "collector");
}

const VERSION = 1;

/**
 * The tokens of a collector, oldest first; none if there is no file.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function readTokens(spool: string): readonly TokenEntry[] {
  const path = pathOf(spool);
  let text: string;
  try {
    const { mode } = statSync(path);
    if ((mode & 0o022) !== 0) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `${path} is writable by other users: run chmod go-w on it, and check its tokens`,
      );
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new SeclogError("SECLOG_CONFIG", `the tokens in ${path} cannot be read: ${errorMessage(cause)}`, { cause });
  }
  try {
    const { version, tokens } = JSON.parse(text) as { version: unknown; tokens: unknown };
    if (version !== VERSION || !Array.isArray(tokens) || !tokens.every(isEntry)) throw new Error("it has another form");
    return tokens;
  } catch (cause) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${path} is not a file of tokens that this program reads (${errorMessage(cause)}): restore it, or move it away and create the tokens again`,
      { cause },
    );
  }
}

/**
 * Makes a token and keeps what proves it. Running collectors take it within a second.
 *
 * @returns the token, which cannot be shown again
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function addToken(spool: string, wanted: NewToken): { readonly token: string; readonly entry: TokenEntry } {
  return change(spool, (entries) => {
    if (entries.some(({ name, revokedAt }) => name === wanted.name && revokedAt === undefined)) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `there is a token ${wanted.name}: revoke it, or give the new one another name, such as ${wanted.name}-2`,
      );
    }
    const made = createToken(wanted);
    return { entries: [...entries, made.entry], result: made };
  });
}

/**
 * Revokes a token by its name or id. It stays in the file, so that its use is recorded as what it is.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function revokeToken(spool: string, nameOrId: string): TokenEntry {
  return change(spool, (entries) => {
    const at = entries.findIndex(
      ({ id, name, revokedAt }) => revokedAt === undefined && (id === nameOrId || name === nameOrId),
    );
    const found = entries[at];
    if (found === undefined) {
      const names = entries.filter(({ revokedAt }) => revokedAt === undefined).map(({ name }) => name);
      const known = names.length === 0 ? "there is none" : `there are ${names.join(", ")}`;
      throw new SeclogError("SECLOG_CONFIG", `no token has the name or id ${JSON.stringify(nameOrId)}: ${known}`);
    }
    const revoked = { ...found, revokedAt: new Date().toISOString() };
    return { entries: entries.with(at, revoked), result: revoked };
  });
}

/** The tokens of a running collector: read again when the file changes, so that a revocation needs no restart. */
export class Tokens {
  readonly #spool: string;
  readonly #onTrouble: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #seen = "";
  #entries: ReadonlyMap<string, TokenEntry> = new Map();

  /** @throws SeclogError `SECLOG_CONFIG` */
  constructor(spool: string, onTrouble: (error: unknown) => void) {
    this.#spool = spool;
    this.#onTrouble = onTrouble;
    this.#seen = stateOf(pathOf(spool));
    this.#entries = byId(readTokens(spool));
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  get entries(): ReadonlyMap<string, TokenEntry> {
    return this.#entries;
  }

  /** The valid token of a name. */
  named(name: string): TokenEntry | undefined {
    for (const entry of this.#entries.values()) if (entry.name === name && entry.revokedAt === undefined) return entry;
    return undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** A file that cannot be read leaves the tokens as they were: no sender is locked out by a half-done edit. */
  #look(): void {
    const state = stateOf(pathOf(this.#spool));
    if (state === this.#seen) return;
    this.#seen = state;
    try {
      this.#entries = byId(readTokens(this.#spool));
    } catch (error) {
      this.#onTrouble(error);
    }
  }
}

const LOOK_MS = 1_000;

function byId(entries: readonly TokenEntry[]): ReadonlyMap<string, TokenEntry> {
  return new Map(entries.map((entry) => [entry.id, entry]));
}

function stateOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return "";
  }
}

function pathOf(spool: string): string {
  return join(collectorFolder(spool), "tokens.json");
}

/** Replaces the file whole, and synced. Its next version is created exclusively, so two changes exclude each other. */
function change<Result>(
  spool: string,
  work: (entries: readonly TokenEntry[]) => { readonly entries: readonly TokenEntry[]; readonly result: Result },
): Result {
  const path = pathOf(spool);
  const next = `${path}.new`;
  let file: number;
  try {
    makeFolder(collectorFolder(spool));
    file = openSync(next, "wx", 0o600);
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === "EEXIST";
    throw new SeclogError(
      "SECLOG_CONFIG",
      exists
        ? `${next} exists: another seclog tokens is running, or one was interrupted; remove the file if none is`
        : `${path} cannot be written: ${errorMessage(cause)}`,
      { cause },
    );
  }
  try {
    try {
      const { entries, result } = work(readTokens(spool));
      writeSync(file, `${JSON.stringify({ version: VERSION, tokens: entries }, undefined, 2)}\n`);
      fsyncSync(file);
      renameSync(next, path);
      return result;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    unlinkSync(next);
    throw error;
  }
}

function isEntry(value: unknown): value is TokenEntry {
  if (typeof value !== "object" || value === null) return false;
  const { id, name, hash, services, types, createdAt } = value as Partial<TokenEntry>;
  const isTexts = (list: unknown): boolean => Array.isArray(list) && list.every((text) => typeof text === "string");
  return (
    typeof id === "string" &&
    typeof name === "string" &&
    /^[0-9a-f]{64}$/.test(String(hash)) &&
    isTexts(services) &&
    (types === undefined || isTexts(types)) &&
    typeof createdAt === "string"
  );
}
