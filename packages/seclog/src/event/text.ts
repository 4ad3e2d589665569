/**
 * Text as an event stores it: capped, and without what PostgreSQL or UTF-8 cannot hold, NUL and lone surrogates. Those
 * are escaped as in JSON, and so, in the same text, is every backslash: read a text that `notes.escaped` names with
 * `unescapeText`; any other is unchanged.
 */
import type { EventNotes } from "./event.ts";

/** The most entries of each kind of note: a hostile value must not cause notes larger than itself. */
const MOST_NOTES = 50;

/** The most characters of a path in notes: clients choose the keys, and a path may have 32 of them. */
const LONGEST_PATH = 200;

/** The most characters of a flag, and how many to search for secrets: it may quote a client's text. */
const LONGEST_FLAG = 300;
const LOOKED_AT = 2_000;

/** Collects the notes of one event: how its values were changed. Costs nothing until one is. */
export class NoteTaker {
  readonly #redact: (text: string) => string;
  #escaped: string[] | undefined;
  #truncated: Map<string, number> | undefined;
  #sha256: Map<string, string> | undefined;
  #redacted: string[] | undefined;
  #converted: Map<string, string> | undefined;
  #flags: string[] | undefined;
  #leftOut = 0;

  /** @param redact removes secrets from the flags */
  constructor(redact: (text: string) => string = (text) => text) {
    this.#redact = redact;
  }

  /** The value at `path` was escaped by {@link escapeText}. */
  escaped(path: string): void {
    this.#escaped = this.#list(this.#escaped, shortPath(path));
  }

  /** The value at `path` was cut; `length` is its original length in characters, bytes, items or members. */
  truncated(path: string, length: number): void {
    this.#truncated = this.#map(this.#truncated, path, length);
  }

  /** The SHA-256 of the whole of a value that was cut, as 64 hexadecimal digits. */
  sha256(path: string, digest: string): void {
    this.#sha256 = this.#map(this.#sha256, path, digest);
  }

  /** The value at `path`, or part of it, was redacted. */
  redacted(path: string): void {
    this.#redacted = this.#list(this.#redacted, shortPath(path));
  }

  /** JSON cannot hold the value at `path`; `from` is its original kind. */
  converted(path: string, from: string): void {
    this.#converted = this.#map(this.#converted, path, from);
  }

  /** Something is wrong with the event. Quoted text need not be clean: it is redacted, cut and escaped here. */
  flag(text: string): void {
    const seen = text.slice(0, LOOKED_AT);
    const safe = this.#redact(seen);
    if (safe !== seen) this.redacted("notes.flags");
    let kept = cutText(safe, LONGEST_FLAG);
    if (isUnkeepable(kept)) {
      this.escaped("notes.flags");
      kept = escapeText(kept);
    }
    this.#flags = this.#list(this.#flags, kept);
  }

  /** The notes so far; `undefined` if none. */
  notes(): EventNotes | undefined {
    if (
      this.#escaped === undefined &&
      this.#truncated === undefined &&
      this.#redacted === undefined &&
      this.#converted === undefined &&
      this.#flags === undefined
    ) {
      return undefined;
    }
    const flags = this.#leftOut === 0 ? this.#flags : [...(this.#flags ?? []), `${this.#leftOut} more notes`];
    return {
      ...(this.#escaped && { escaped: this.#escaped }),
      ...(this.#truncated && { truncated: Object.fromEntries(this.#truncated) }),
      ...(this.#sha256 && { sha256: Object.fromEntries(this.#sha256) }),
      ...(this.#redacted && { redacted: this.#redacted }),
      ...(this.#converted && { converted: Object.fromEntries(this.#converted) }),
      ...(flags && { flags }),
    };
  }

  #list(list: string[] | undefined, entry: string): string[] {
    if (list === undefined) return [entry];
    if (list.includes(entry)) return list;
    if (list.length < MOST_NOTES) list.push(entry);
    else this.#leftOut++;
    return list;
  }

  #map<Value>(map: Map<string, Value> | undefined, path: string, value: Value): Map<string, Value> {
    if (map === undefined) return new Map([[shortPath(path), value]]);
    if (map.size < MOST_NOTES || map.has(shortPath(path))) map.set(shortPath(path), value);
    else this.#leftOut++;
    return map;
  }
}

function shortPath(path: string): string {
  return cutText(path, LONGEST_PATH);
}

/** NUL or any surrogate, which plain text has none of: this one test is all that plain text costs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const MAY_NEED_ESCAPE = /[\u0000\ud800-\udfff]/;

/** With the `u` flag, a class of surrogates matches only lone ones. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const UNKEEPABLE = /[\u0000\ud800-\udfff]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const TO_ESCAPE = /[\u0000\ud800-\udfff\\]/gu;

/** Whether PostgreSQL or UTF-8 cannot hold the text unescaped. */
export function isUnkeepable(text: string): boolean {
  return MAY_NEED_ESCAPE.test(text) && UNKEEPABLE.test(text);
}

/** The text with NUL, lone surrogates and backslashes escaped as JSON does. */
export function escapeText(text: string): string {
  return text.replace(TO_ESCAPE, (unit) =>
    unit === "\\" ? "\\\\" : `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Reverses {@link escapeText}. */
export function unescapeText(text: string): string {
  return text.replace(/\\(?:\\|u([0-9a-f]{4}))/g, (_, code: string | undefined) =>
    code === undefined ? "\\" : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** The first `limit` UTF-16 units, one less where the cut would split a surrogate pair. */
export function cutText(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  const next = text.charCodeAt(limit);
  const parts = last >= 0xd800 && last <= 0xdbff && next >= 0xdc00 && next <= 0xdfff;
  return text.slice(0, parts ? limit - 1 : limit);
}

/**
 * A text as the event stores it: at most `limit` UTF-16 units, escaped only if necessary; both are noted. An escaped
 * text may be up to six times as long as `limit`.
 */
export function keepText(text: string, path: string, limit: number, notes: NoteTaker): string {
  let kept = text;
  if (text.length > limit) {
    notes.truncated(path, text.length);
    kept = cutText(text, limit);
  }
  if (!isUnkeepable(kept)) return kept;
  notes.escaped(path);
  return escapeText(kept);
}
