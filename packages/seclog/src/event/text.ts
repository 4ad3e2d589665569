/**
 * Text as an event keeps it: capped, and free of the two things that PostgreSQL or UTF-8 cannot hold, NUL and a
 * surrogate without its other half. Those are escaped as JSON escapes them, and so is then every backslash of the
 * same text: a text that `notes.escaped` names is read back with `unescapeText`, any other is as it was.
 */
import type { EventNotes } from "./event.ts";

/** The most entries of each kind of note: a hostile value must not make notes that are larger than itself. */
const MOST_NOTES = 50;

/** The most characters of a path in notes: keys are chosen by strangers, and a path may have 32 of them. */
const LONGEST_PATH = 200;

/** The most characters of a flag, and how many are looked at for secrets: it may quote a stranger's text. */
const LONGEST_FLAG = 300;
const LOOKED_AT = 2_000;

/** What was done to the values of one event. Costs nothing until something was done. */
export class NoteTaker {
  readonly #redact: (text: string) => string;
  #escaped: string[] | undefined;
  #truncated: Map<string, number> | undefined;
  #sha256: Map<string, string> | undefined;
  #redacted: string[] | undefined;
  #converted: Map<string, string> | undefined;
  #flags: string[] | undefined;
  #leftOut = 0;

  /** @param redact takes the secrets out of the flags */
  constructor(redact: (text: string) => string = (text) => text) {
    this.#redact = redact;
  }

  /** The value at `path` was escaped by {@link escapeText}. */
  escaped(path: string): void {
    this.#escaped = this.#list(this.#escaped, shortPath(path));
  }

  /** The value at `path` was cut; `length` is what it had: characters, bytes, items or members. */
  truncated(path: string, length: number): void {
    this.#truncated = this.#map(this.#truncated, path, length);
  }

  /** The SHA-256 of the whole of a value that was cut, as 64 hexadecimal digits. */
  sha256(path: string, digest: string): void {
    this.#sha256 = this.#map(this.#sha256, path, digest);
  }

  /** The value at `path` was secret, or something in it was. */
  redacted(path: string): void {
    this.#redacted = this.#list(this.#redacted, shortPath(path));
  }

  /** The value at `path` has no JSON form; `from` is what it was. */
  converted(path: string, from: string): void {
    this.#converted = this.#map(this.#converted, path, from);
  }

  /** Something about the event is not as it should be. What is quoted need not be clean, and is cut here. */
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

  /** The notes so far, `undefined` when there are none. */
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

/** NUL or any surrogate: what plain text does not have. One test of it is all that plain text costs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const MAY_NEED_ESCAPE = /[\u0000\ud800-\udfff]/;

/** With the `u` flag a class of surrogates matches those that have no other half. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const UNKEEPABLE = /[\u0000\ud800-\udfff]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const TO_ESCAPE = /[\u0000\ud800-\udfff\\]/gu;

/** Whether PostgreSQL or UTF-8 cannot hold the text as it is. */
export function isUnkeepable(text: string): boolean {
  return MAY_NEED_ESCAPE.test(text) && UNKEEPABLE.test(text);
}

/** The text with NUL, lone surrogates and backslashes escaped as JSON does. */
export function escapeText(text: string): string {
  return text.replace(TO_ESCAPE, (unit) =>
    unit === "\\" ? "\\\\" : `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What {@link escapeText} was given. For a text that it did not make, the text itself. */
export function unescapeText(text: string): string {
  return text.replace(/\\(?:\\|u([0-9a-f]{4}))/g, (_, code: string | undefined) =>
    code === undefined ? "\\" : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** The first `limit` UTF-16 units, one less where that would part a surrogate pair. */
export function cutText(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  const next = text.charCodeAt(limit);
  const parts = last >= 0xd800 && last <= 0xdbff && next >= 0xdc00 && next <= 0xdfff;
  return text.slice(0, parts ? limit - 1 : limit);
}

/**
 * A text as the event keeps it: at most `limit` UTF-16 units of it, escaped only if it must be. Both are noted.
 * An escaped text may be longer than `limit`, up to six times.
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
