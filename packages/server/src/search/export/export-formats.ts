/** The formats of an export: how a row is written, and how its files are called. */
import { type SecurityEvent, visibleJson } from "seclog";
import {
  cefMessage,
  csvHeader,
  csvLine,
  ecsLine,
  leefMessage,
  OCSF_VERSIONS,
  ocsfLine,
  otlpLogs,
  owaspLine,
  readableLine,
  syslogMessage,
} from "seclog/formats";
import { COLUMN_LIST } from "seclog/postgres/schema";
import type { EventRow } from "../event-rows.ts";
import { quickCsv, quickNdjson } from "./quick-lines.ts";

/** How a format is written. */
export interface ExportFormat {
  /** The ending of its files, without `.gz`. */
  readonly ending: string;
  /** What a file begins with. */
  readonly header?: string;
  /** A row with its line end. */
  readonly print: (row: EventRow) => string;
  /** The same from COPY's cells, for the rows that allow it. */
  readonly quick?: (cells: readonly string[]) => string | undefined;
}

/** The formats by name. */
export const EXPORT_FORMATS: { readonly [name: string]: ExportFormat } = {
  ndjson: { ending: "ndjson", print: ndjson, quick: quickNdjson },
  csv: { ending: "csv", header: csvHeader(), print: (row) => csvLine(eventOf(row)), quick: quickCsv },
  line: { ending: "log", print: (row) => readableLine(eventOf(row), false) },
  owasp: { ending: "owasp.ndjson", print: (row) => owaspLine(eventOf(row)) },
  syslog: { ending: "syslog", print: (row) => `${syslogMessage(eventOf(row))}\n` },
  cef: { ending: "cef", print: (row) => `${cefMessage(eventOf(row))}\n` },
  leef: { ending: "leef", print: (row) => `${leefMessage(eventOf(row))}\n` },
  ecs: { ending: "ecs.ndjson", print: (row) => ecsLine(eventOf(row)) },
  otlp: { ending: "otlp.ndjson", print: (row) => `${visibleJson(JSON.stringify(otlpLogs([eventOf(row)])))}\n` },
  ...Object.fromEntries(
    OCSF_VERSIONS.map((version, index) => [
      index === 0 ? "ocsf" : `ocsf-${version.slice(0, 3)}`,
      { ending: "ocsf.ndjson", print: (row: EventRow) => ocsfLine(eventOf(row), { version }) },
    ]),
  ),
};

/** The row's columns as `seclog query --ndjson` prints them, without those that are NULL. */
function ndjson(row: EventRow): string {
  const object: { [column: string]: unknown } = {};
  for (const column in row) {
    const value = row[column as keyof EventRow];
    if (value !== null) object[column] = value;
  }
  return `${visibleJson(JSON.stringify(object))}\n`;
}

/**
 * The event that a row is. A row that Seclog has not written may hold texts where events have numbers or objects; the
 * formats print them as they are.
 */
function eventOf(row: EventRow): SecurityEvent {
  const event: { [member: string]: unknown } = {};
  for (const { member, name } of COLUMN_LIST) {
    const value = row[name as keyof EventRow];
    if (value !== null) event[member] = value;
  }
  return event as unknown as SecurityEvent;
}
