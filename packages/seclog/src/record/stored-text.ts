/**
 * The form in which an event stores a value that has a column of its own. Recording uses it, and so does
 * every search: one that compares with the text as typed finds nothing where the log stores a cut, an
 * escaped or a canonical form.
 */
import { createHash } from "node:crypto";
import { canonicalType } from "../event/catalogue.ts";
import { EVENT_COLUMNS, type MembersWith } from "../event/columns.ts";
import { cutText, keepText, NoteTaker } from "../event/text.ts";
import { parseAddress } from "./client-ip.ts";

/** A column of text that a client or the application chose. The chain of addresses is cut in its own way. */
export type TextColumn = Exclude<MembersWith<{ readonly limit: number }>, "ipChain">;

/** The columns that {@link storedText} supports. */
export type StoredColumn = TextColumn | "type" | "ipAddress";

/** Precedes the hash of a long id. */
const HASH_MARK = "…sha256:";
const HASH_LENGTH = HASH_MARK.length + 64;

/** The longest id to hash: hashing takes the request's time, and clients choose names. */
const LONGEST_HASHED = 65_536;

/**
 * A text as its column stores it: cut and escaped, both noted.
 *
 * An id that is too long ends in the SHA-256 of the whole, so that long ids with the same beginning stay distinct: the
 * names of a directory (LDAP) are such.
 *
 * @param whole the text before it was cut; omit it if it contained a secret, which the hash would let others test
 */
export function keptText(text: string, column: TextColumn, notes: NoteTaker, whole?: string): string {
  const { limit } = EVENT_COLUMNS[column];
  const isId = column === "actorId" || column === "targetId";
  if (!isId || whole === undefined || whole.length <= limit || whole.length > LONGEST_HASHED) {
    return keepText(cutText(text, limit), column, limit, notes);
  }
  const start = keepText(cutText(whole, limit - HASH_LENGTH), column, limit, notes);
  return `${start}${HASH_MARK}${createHash("sha256").update(whole).digest("hex")}`;
}

/**
 * The text that an event's column stores for a value, unless it is redacted; `undefined` if no event can
 * have it. Pass the value as the application or the client had it: `storedText("ipAddress", "[2001:db8::1]:443")` is
 * `2001:db8::1`, `storedText("path", "/a?b=c")` is `/a`, and an id of over 256 characters ends in its hash.
 */
export function storedText(column: StoredColumn, value: string | number | bigint): string | undefined {
  const text = String(value);
  switch (column) {
    case "type":
      return canonicalType(text.toLowerCase());
    case "ipAddress":
      return parseAddress(text.trim());
    case "path":
      return keptText(pathOfTarget(text), column, new NoteTaker());
    default:
      return keptText(text, column, new NoteTaker(), text);
  }
}

/** The path of a request's target (RFC 9112, 3.2) without query, fragment and parameters, which may contain secrets. */
export function pathOfTarget(target: string): string {
  let path = target;
  if (target.charCodeAt(0) !== 0x2f) {
    const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/.exec(target.slice(0, 4096));
    if (authority !== null) path = target.slice(authority[0].length) || "/";
  }
  if (!/[?#;]/.test(path)) return path;
  const end = path.search(/[?#]/);
  if (end !== -1) path = path.slice(0, end);
  path = path.replace(/;[^/]*/g, "");
  return path === "" ? "/" : path;
}
