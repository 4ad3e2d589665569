/** An event as a row of CSV (RFC 4180), safe to open in a spreadsheet. */
import { COLUMN_LIST } from "../event/columns.ts";
import type { SecurityEvent } from "../event/event.ts";

/**
 * What a spreadsheet reads as the beginning of a formula: `=`, `+`, `-`, `@`, their full-width forms, and the white space
 * that it skips before one (OWASP, CSV Injection).
 */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** The first row: the columns' names. */
export function csvHeader(): string {
  return `${COLUMN_LIST.map(({ name }) => name).join(",")}\r\n`;
}

/**
 * An event as a row with its line end, with a field for each column of {@link csvHeader}; JSON columns have JSON. A text
 * that a spreadsheet would run as a formula begins with an apostrophe, which marks text there. Numbers are written as
 * they are.
 */
export function csvLine(event: SecurityEvent): string {
  const fields = COLUMN_LIST.map(({ member, kind }) => {
    const value = event[member];
    if (value === undefined) return "";
    if (typeof value === "number") return String(value);
    if (kind === "json") return field(JSON.stringify(value));
    return field(String(value));
  });
  return `${fields.join(",")}\r\n`;
}

function field(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  // A text that begins or ends with a space is quoted too: some readers trim others.
  return safe !== text || /[",\r\n\0]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
