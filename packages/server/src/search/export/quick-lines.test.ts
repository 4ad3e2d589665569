/** The quick way writes what the usual one writes, or leaves the row to it. */

import { COLUMN_LIST } from "seclog/postgres/schema";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { EXPORT_FORMATS } from "./export-formats.ts";
import { rowOf } from "./stored-events.ts";

const NAMES = [...COLUMN_LIST.map(({ name }) => name), "created_at", "retention"];

const ORDINARY: { readonly [column: string]: string } = {
  v: "1",
  id: "019aad2f-1b2c-7000-8000-000000000001",
  occurred_at: "2026-11-22 19:43:22.1234+00",
  source_id: "019aad2f-0000-7000-8000-000000000001",
  epoch: "1",
  seq: "7",
  event_type: "authz_fail",
  level: "critical",
  category: "authz",
  outcome: "failure",
  logger: "security",
  status_code: "403",
  ip_address: "203.0.113.9",
  actor_id: "ada",
  path: "/a b",
  data: '{"resource":"orders","n":[1,{"a":null}]}',
  created_at: "2026-11-22 19:43:23+00",
  retention: "standard",
};

const cellsOf = (row: { readonly [column: string]: string }): string[] => NAMES.map((name) => row[name] ?? "\\N");

/** Cells that an ordinary row does not have. */
const ODD = [
  "",
  " ",
  "=1",
  "-1",
  "a,b",
  "a ",
  '"',
  "\\\\",
  "a\\nb",
  "\\t",
  "日本",
  "\u202e",
  "\u007f",
  "0",
  "1",
  "-5",
  "1000",
  "1e3",
];
const ODD_OF: { readonly [column: string]: readonly string[] } = {
  data: [
    '{"a":1,"a":2}',
    '{"b":1,"1":2}',
    "{}",
    "[1]",
    "3",
    '{"a": 1}',
    '{"a":1.0}',
    '{"__proto__":1}',
    `{"a":${"[".repeat(300)}${"]".repeat(300)}}`,
  ],
  occurred_at: [
    "infinity",
    "0044-03-15 12:00:00+00 BC",
    "2026-12-22 00:00:00+00",
    "2026-11-22 19:43:22+00",
    "12026-01-01 00:00:00+00",
  ],
  started_at: ["2026-11-22 19:43:22+00"],
  ended_at: ["2026-11-22 19:43:21+00"],
  ip_address: ["10.0.0.0/8", "2001:db8::1"],
  seq: ["9007199254740993", "99999999999999999999"],
  status_code: ["0", "7", "1000", "32767"],
  v: ["2"],
};

describe.each(["ndjson", "csv"])("the quick way of %s", (name) => {
  const { print, quick } = EXPORT_FORMATS[name]!;
  const compare = (cells: readonly string[]): boolean => {
    const line = quick?.(cells);
    if (line !== undefined) expect(line).toBe(print(rowOf(cells)));
    return line !== undefined;
  };

  it("takes ordinary rows", () => {
    expect(compare(cellsOf(ORDINARY))).toBe(true);
    expect(compare(cellsOf({ ...ORDINARY, data: "\\N", actor_id: "", occurred_at: "2026-11-22 19:43:22+00" }))).toBe(
      true,
    );
  });

  it("never writes anything else than the usual way, whatever a cell holds", () => {
    const columns = NAMES.filter((column) => column !== "retention");
    for (const column of columns) {
      for (const cell of [...ODD, ...(ODD_OF[column] ?? [])]) compare(cellsOf({ ...ORDINARY, [column]: cell }));
    }
    for (const row of [{ started_at: ODD_OF["started_at"]![0]!, ended_at: ODD_OF["ended_at"]![0]! }]) {
      compare(cellsOf({ ...ORDINARY, ...row }));
    }
    fc.assert(
      fc.property(fc.constantFrom(...columns), fc.string({ unit: "grapheme" }), (column, text) => {
        const cell = text.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n");
        compare(cellsOf({ ...ORDINARY, [column]: cell }));
      }),
    );
  });
});
