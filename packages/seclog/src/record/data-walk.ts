/**
 * Turns any value into canonical JSON (RFC 8785) in one walk, which also caps, converts and redacts it. Clients control
 * the values: they may be cyclic, endless, larger than memory, or throw when read. Whatever they do, the walk ends,
 * returns text that PostgreSQL's `json` and `jsonb` both take, and notes what it did.
 *
 * This runs on the request's thread, so it makes neither a clone nor a second pass. Members' names are examined once
 * and remembered (member-names.ts); an object of three plain members costs less than a microsecond. The handling
 * of every kind of value is in one class, because all of it shares the same path, room and notes.
 */
import { createHash } from "node:crypto";
// Not "node:util": importing that opens process.stdout on Node 22 and later.
import * as types from "node:util/types";
import { isError } from "../event/errors.ts";
import { jsonString } from "../event/json.ts";
import { cutText, escapeText, isUnkeepable, type NoteTaker } from "../event/text.ts";
import {
  bigintText,
  className,
  errorMembers,
  firstOf,
  functionText,
  isEmitter,
  mergedPairs,
  namesIn,
  UNSERIALIZABLE,
} from "./data-forms.ts";
import { type DataLimits, HASHED_FROM, MOST_HASHED, MOST_VISITS } from "./data-limits.ts";
import { distinctNames, isValueName, type MemberName, type MemberNames, sortNames } from "./member-names.ts";
import { LONGEST_NAME, LOOK_BEHIND_DATA_CUT, queryStart, REDACTED, type Redactor } from "./redact.ts";
import type { NameRule } from "./secret-names.ts";

/** One walk over one call's data. */
export class DataWalk {
  readonly #redactor: Redactor;
  readonly #limits: DataLimits;
  readonly #names: MemberNames;
  readonly #notes: NoteTaker;
  /** The names on the path to the value being written. */
  readonly #path: string[] = [];
  /** The objects that contain the value being written, to detect cycles. */
  readonly #ancestors: object[] = [];
  #omit: ReadonlySet<string> | undefined;
  /** What is left of `limits.total`. */
  #room: number;
  #visits: number = MOST_VISITS;
  #hashable: number = MOST_HASHED;

  constructor(redactor: Redactor, limits: DataLimits, names: MemberNames, notes: NoteTaker) {
    this.#redactor = redactor;
    this.#limits = limits;
    this.#names = names;
    this.#notes = notes;
    this.#room = limits.total;
  }

  run(data: unknown, omit: ReadonlySet<string> | undefined): string | undefined {
    this.#omit = omit;
    return this.#value(data);
  }

  /** The JSON of a value; `undefined` for `undefined`, which is omitted. */
  #value(value: unknown): string | undefined {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        return this.#number(value);
      case "boolean":
        this.#room -= 5;
        return value ? "true" : "false";
      case "object":
        if (value !== null) return this.#object(value);
        this.#room -= 4;
        return "null";
      case "undefined":
        return undefined;
      case "bigint":
        return this.#converted(bigintText(value), "bigint");
      case "symbol":
        return this.#converted(String(value), "symbol");
      case "function":
        return this.#converted(functionText(value), "function");
    }
  }

  #text(text: string): string {
    const limit = Math.min(this.#limits.text, Math.max(this.#room, 0));
    let kept = text;
    if (text.length > limit) {
      kept = this.#cut(text, limit);
    } else {
      kept = this.#redactor.value(text, this.#path);
      if (kept !== text) this.#notes.redacted(this.#where());
    }
    let json = jsonString(kept);
    // A longer literal has escapes. Only then may the text contain what cannot be stored.
    if (json.length > kept.length + 2 && isUnkeepable(kept)) {
      this.#notes.escaped(this.#where());
      json = jsonString(escapeText(kept));
    }
    this.#room -= json.length;
    return json;
  }

  #cut(text: string, limit: number): string {
    const seen = text.slice(0, limit + LOOK_BEHIND_DATA_CUT);
    const safe = this.#redactor.value(seen, this.#path);
    const where = this.#where();
    this.#notes.truncated(where, text.length);
    if (safe !== seen) {
      // Do not hash a text that contains a secret: if the rest is known, a short secret could be found by trying.
      this.#notes.redacted(where);
    } else if (text.length > HASHED_FROM && text.length <= this.#hashable) {
      this.#hashable -= text.length;
      this.#notes.sha256(where, createHash("sha256").update(text).digest("hex"));
    }
    return cutText(safe, limit);
  }

  #number(value: number): string {
    if (!Number.isFinite(value)) return this.#converted(String(value), "number");
    if (value === 0) {
      // JSON has -0, RFC 8785 and jsonb do not.
      if (Object.is(value, -0)) this.#notes.converted(this.#where(), "-0");
      this.#room -= 1;
      return "0";
    }
    // Card numbers are safe integers too. Milliseconds since 1970 stay below this until 2033.
    if (value >= 2e12 && Number.isInteger(value)) {
      if (!Number.isSafeInteger(value)) this.#notes.converted(this.#where(), "unsafe integer");
      else if (this.#redactor.value(String(value), this.#path) !== String(value)) return this.#redacted();
    }
    const json = String(value);
    this.#room -= json.length;
    return json;
  }

  /** A value written as text because JSON cannot hold it. */
  #converted(text: string, from: string): string {
    this.#notes.converted(this.#where(), from);
    return this.#text(text);
  }

  #redacted(): string {
    this.#notes.redacted(this.#where());
    this.#room -= REDACTED.length + 2;
    return `"${REDACTED}"`;
  }

  #object(value: object): string | undefined {
    const ancestors = this.#ancestors.length;
    const steps = this.#path.length;
    try {
      if (this.#ancestors.includes(value)) return this.#converted("[Circular]", "circular");
      if (ancestors >= this.#limits.depth) return this.#tooDeep(value);
      this.#ancestors.push(value);
      const json = Array.isArray(value) ? this.#list(value, value.length) : this.#record(value);
      this.#ancestors.pop();
      return json;
    } catch {
      // A trap, a getter or a method of the value threw.
      this.#ancestors.length = ancestors;
      this.#path.length = steps;
      return this.#converted(UNSERIALIZABLE, "unserializable");
    }
  }

  #tooDeep(value: object): string {
    const list = Array.isArray(value);
    this.#notes.truncated(this.#where(), list ? value.length : Object.keys(value).length);
    return this.#text(list ? "[Array]" : "[Object]");
  }

  /** An object that is not a list: by its internal kind, not by its prototype. */
  #record(value: object): string | undefined {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      const special = this.#special(value);
      if (special !== NOT_SPECIAL) return special;
    }
    const toJSON: unknown = (value as { readonly toJSON?: unknown }).toJSON;
    if (typeof toJSON === "function") {
      const plain: unknown = toJSON.call(value, this.#path.at(-1) ?? "");
      if (plain !== value) return this.#value(plain);
    }
    if (prototype !== Object.prototype && prototype !== null && isEmitter(value)) {
      // A request, a socket or a stream: what it refers to is the program, not data.
      return this.#converted(`[${className(value)}]`, "object");
    }
    return this.#members(value, Object.keys(value));
  }

  /** Dates, errors, collections and bytes. */
  #special(value: object): string | undefined | typeof NOT_SPECIAL {
    if (types.isDate(value)) {
      const time = Date.prototype.getTime.call(value);
      if (Number.isNaN(time)) return this.#converted("Invalid Date", "date");
      return this.#text(Date.prototype.toISOString.call(value));
    }
    if (isError(value)) return this.#error(value);
    if (types.isMap(value)) return this.#entries(Map.prototype.entries.call(value), "map");
    if (types.isSet(value)) {
      this.#notes.converted(this.#where(), "set");
      return this.#list(firstOf(Set.prototype.values.call(value), this.#limits.members), value.size);
    }
    if (types.isAnyArrayBuffer(value)) return this.#bytes(Buffer.from(value));
    if (ArrayBuffer.isView(value)) {
      if (types.isUint8Array(value) || types.isDataView(value) || types.isUint8ClampedArray(value)) {
        return this.#bytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      }
      this.#notes.converted(this.#where(), className(value));
      const items = value as unknown as ArrayLike<unknown>;
      return this.#list(items, items.length);
    }
    if (types.isBoxedPrimitive(value)) {
      const primitive: unknown = value.valueOf();
      return typeof primitive === "object" ? NOT_SPECIAL : this.#value(primitive);
    }
    if (types.isRegExp(value)) return this.#converted(String(value), "regexp");
    if (types.isPromise(value)) return this.#converted("[Promise]", "promise");
    const tag = (value as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
    if (tag === "URL" || value instanceof URL) return this.#text(this.#withoutQuery(String(value)));
    if (tag === "Headers" || tag === "URLSearchParams" || tag === "FormData") {
      const entries: unknown = (value as { readonly entries?: unknown }).entries;
      if (typeof entries === "function") {
        return this.#entries(entries.call(value) as Iterable<[unknown, unknown]>, String(tag));
      }
    }
    return NOT_SPECIAL;
  }

  #error(value: object): string {
    this.#notes.converted(this.#where(), "error");
    const error = errorMembers(value);
    return this.#members(error, Object.keys(error));
  }

  #bytes(bytes: Buffer): string {
    const most = Math.floor((Math.min(this.#limits.text, Math.max(this.#room, 0)) * 3) / 4);
    const kept = bytes.subarray(0, most);
    const text = bytes.toString("latin1", 0, most + LOOK_BEHIND_DATA_CUT);
    // Base64 would hide a secret from the patterns.
    if (this.#redactor.text(text) !== text) return this.#redacted();
    this.#notes.converted(this.#where(), "base64");
    if (kept.length < bytes.length) this.#notes.truncated(this.#where(), bytes.length);
    const json = `"${kept.toString("base64")}"`;
    this.#room -= json.length;
    return json;
  }

  /** A collection by key: an object if all keys are texts, else a list of pairs. */
  #entries(entries: Iterable<[unknown, unknown]>, from: string): string {
    this.#notes.converted(this.#where(), from);
    const pairs = firstOf(entries, this.#limits.members + 1);
    if (!pairs.every(([key]) => typeof key === "string")) return this.#list(pairs, pairs.length);
    const members = mergedPairs(pairs as [string, unknown][]);
    return this.#members(Object.fromEntries(members), [...members.keys()]);
  }

  #list(items: ArrayLike<unknown>, length: number): string {
    const most = Math.min(items.length, this.#limits.members);
    const pair = most === 2 && this.#inList() && typeof items[0] === "string";
    const secret = pair && this.#name(items[0] as string).rule === "redact";
    let json = "[";
    let written = 0;
    for (; written < most && this.#room > 0 && this.#visits-- > 0; written++) {
      this.#path.push(String(written));
      const item = secret && written === 1 ? this.#redacted() : this.#member(items, written, "keep");
      if (item === undefined) this.#notes.converted(this.#where(), "undefined");
      json += `${written > 0 ? "," : ""}${item ?? "null"}`;
      this.#room -= 1;
      this.#path.pop();
    }
    if (written < length) this.#notes.truncated(this.#where(), length);
    this.#room -= 2;
    return `${json}]`;
  }

  /** Whether the list being written is itself in a list: then two items are a name and its value. */
  #inList(): boolean {
    const parent = this.#ancestors.at(-2);
    return Array.isArray(parent) || types.isMap(parent);
  }

  #members(value: object, keys: readonly string[]): string {
    const top = this.#ancestors.length === 1 && this.#path.length === 0 ? this.#omit : undefined;
    let names: MemberName[] = [];
    let changed = false;
    let dropped = 0;
    for (const key of keys) {
      if (top?.has(key)) continue;
      if (names.length === this.#limits.members) {
        dropped++;
        continue;
      }
      const name = this.#name(key);
      if (name.name !== key) changed = true;
      names.push(name);
    }
    if (changed) names = distinctNames(names);
    sortNames(names);
    const secretValue = names.some(isValueName) && this.#besideSecretName(value);

    let json = "{";
    let seen = 0;
    for (; seen < names.length && this.#visits-- > 0; seen++) {
      const name = names[seen];
      if (name === undefined || this.#room < name.json.length) break;
      this.#path.push(name.name);
      const member = this.#member(value, name.key, secretValue && isValueName(name) ? "redact" : name.rule);
      if (member !== undefined) {
        json += json === "{" ? name.json + member : `,${name.json}${member}`;
        this.#room -= name.json.length + 1;
      }
      this.#path.pop();
    }
    if (dropped > 0 || seen < names.length) this.#notes.truncated(this.#where(), names.length + dropped);
    this.#room -= 2;
    return `${json}}`;
  }

  /** The JSON of one member or item, by the rule of its name. */
  #member(holder: object, key: string | number, rule: NameRule): string | undefined {
    let value: unknown;
    try {
      value = (holder as { readonly [key: string | number]: unknown })[key];
    } catch {
      return this.#converted(UNSERIALIZABLE, "unserializable");
    }
    if (value === undefined) return undefined;
    const privacy = this.#redactor.hasDataPaths ? this.#redactor.pathClass(["data", ...this.#path]) : undefined;
    if (privacy !== undefined && privacy !== "keep") return this.#classed(value, privacy);
    switch (privacy === undefined ? rule : "keep") {
      case "keep":
        return this.#value(value);
      case "redact":
        // Whether a password exists is not secret.
        return value === null || typeof value === "boolean" ? this.#value(value) : this.#redacted();
      case "url":
        return this.#value(typeof value === "string" ? this.#withoutQuery(value) : value);
      case "address":
        return this.#value(typeof value === "string" ? this.#redactor.addresses(value) : value);
      case "hash":
        return isId(value) ? this.#hashed(value) : this.#value(value);
      case "pseudonym":
        return this.#classed(value, "hash");
      case "mask":
        return this.#classed(value, "mask");
    }
  }

  /** A value that the application has given a class. What is not a plain value is redacted as a whole. */
  #classed(value: unknown, privacy: "never" | "hash" | "mask"): string | undefined {
    if (value === null || typeof value === "boolean") return this.#value(value);
    if (privacy === "never" || !isId(value)) return this.#redacted();
    if (privacy === "hash") return this.#hashed(value);
    this.#notes.redacted(this.#where());
    return this.#text(this.#redactor.mask(this.#redactor.value(String(value), this.#path)));
  }

  #hashed(value: string | number | bigint): string {
    return this.#converted(this.#redactor.hash(String(value)), "hmac-sha256");
  }

  #withoutQuery(url: string): string {
    const end = queryStart(url);
    if (end === -1) return url;
    this.#notes.redacted(this.#where());
    return url.slice(0, end);
  }

  /** Validators report `{ path: "password", value: "hunter2" }`. */
  #besideSecretName(value: object): boolean {
    for (const name of namesIn(value)) {
      if (name.length <= LONGEST_NAME && this.#name(name).rule === "redact") return true;
    }
    return false;
  }

  #name(key: string): MemberName {
    const name = this.#names.of(key);
    if (name.name !== key) this.#notes.converted(this.#where(name.name), "name");
    return name;
  }

  /** The path of the value being written, as in notes. */
  #where(member?: string): string {
    let where = "data";
    for (const step of this.#path) where += `.${step}`;
    return member === undefined ? where : `${where}.${member}`;
  }
}

function isId(value: unknown): value is string | number | bigint {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint";
}

const NOT_SPECIAL: unique symbol = Symbol("not special");
