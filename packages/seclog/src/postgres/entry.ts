/**
 * What a row is in the Merkle tree: its entry, the text whose hash is a leaf (docs/design/integrity.md).
 *
 * Values are taken as PostgreSQL writes them, with `DateStyle` ISO and the time zone UTC, and not as a driver converts them: a row
 * that somebody else than Seclog wrote has an entry, too.
 */
import { jsonString } from "../event/json.ts";
import { IMPERSONAL_COLUMNS, PERSONAL_COLUMNS } from "./line-reader.ts";

/** The columns that an entry is made of, in its order: for a SELECT list. None of them names a person. */
export const ENTRY_COLUMNS: readonly string[] = [
  ...IMPERSONAL_COLUMNS.map(({ name }) => name),
  "commitment",
  "created_at",
  "retention",
];

/**
 * The entry of an event.
 *
 * @param values the text of each of {@link ENTRY_COLUMNS}, as PostgreSQL wrote it
 */
export function eventEntry(values: readonly (string | null)[]): string {
  let line = "";
  for (const [index, { name, kind }] of IMPERSONAL_COLUMNS.entries()) {
    const value = values[index];
    if (value === null || value === undefined) continue;
    line += `${line === "" ? "{" : ","}"${name}":`;
    line += kind === "integer" ? value : kind === "time" ? `"${isoTime(value)}"` : jsonString(value);
  }
  const [commitment, createdAt, retention] = values.slice(IMPERSONAL_COLUMNS.length);
  return `${line}}\n${hexText(commitment)}\n{"created_at":"${isoTime(createdAt ?? "")}","retention":${jsonString(retention ?? "")}}`;
}

/**
 * The personal line of an event, as its commitment has it.
 *
 * @param row of `SELECT ${EVENT_SELECT}`: `data` and `notes` are the stored text
 */
export function personalLine(row: { readonly [column: string]: unknown }): string {
  let line = "";
  for (const { name, kind } of PERSONAL_COLUMNS) {
    const value = row[name];
    if (typeof value !== "string") continue;
    line += `${line === "" ? "{" : ","}"${name}":${kind === "json" ? value : jsonString(value)}`;
  }
  return line === "" ? "{}" : `${line}}`;
}

/** The entry of a number whose record is in quarantine; times and bytes as PostgreSQL wrote them. */
export function quarantineEntry(sourceId: string, seq: number, createdAt: string, commitment: string): string {
  return `{"created_at":"${isoTime(createdAt)}","quarantined":true,"seq":${seq},"source_id":"${sourceId}"}\n${hexText(commitment)}`;
}

/** The entry of a number that is neither an event nor in quarantine, though its source has passed it. */
export function missingEntry(sourceId: string, seq: number): string {
  return `{"missing":true,"seq":${seq},"source_id":"${sourceId}"}`;
}

/** `2026-11-22 19:43:22.1234+00` as events have it. Other forms (infinity, years of five digits or before Christ) stay as they are. */
function isoTime(text: string): string {
  const [, date, clock, fraction = ""] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  return date === undefined ? text : `${date}T${clock}.${fraction.padEnd(6, "0")}Z`;
}

function hexText(bytea: string | null | undefined): string {
  return bytea?.startsWith("\\x") ? bytea.slice(2) : "";
}
