import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { canonicalAddress } from "../event/address.ts";
import { COLUMN_LIST } from "../event/columns.ts";
import { encodeEvent } from "../event/encode.ts";
import { EXAMPLE_SOURCE, exampleBatch, exampleEvent } from "../testing/example-events.ts";
import { COPY_COLUMNS, CopyRows } from "./copy-rows.ts";
import { RecordError } from "./line-reader.ts";

/** The values of one row by column, as PostgreSQL reads them (COPY's text format). */
function row(record: Uint8Array | string, seq = 1, retention = new Map<string, string>()): Map<string, string | null> {
  const rows = new CopyRows(EXAMPLE_SOURCE, retention);
  rows.add(typeof record === "string" ? Buffer.from(record) : record, seq);
  const text = rows.take().toString();
  expect(text.endsWith("\n")).toBe(true);
  const values = text.slice(0, -1).split("\t");
  expect(values).toHaveLength(COPY_COLUMNS.length);
  const letters: { [letter: string]: string } = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
  return new Map(
    values.map((value, index) => [
      COPY_COLUMNS[index] ?? "",
      value === "\\N" ? null : value.replace(/\\(.)/gs, (_, letter: string) => letters[letter] ?? letter),
    ]),
  );
}

describe("CopyRows", () => {
  it("has every column of an event", () => {
    expect([...COPY_COLUMNS].sort()).toEqual(
      [...COLUMN_LIST.map(({ name }) => name), "salt", "commitment", "retention"].sort(),
    );
  });

  it("writes the values, NULL for absent ones, and the exact text of JSON", () => {
    const data = { z: ["a\\b", { "\n": '"' }], "10": 1, "9": 2 };
    const values = row(encodeEvent({ ...exampleEvent(1), path: 'tab\t"\\N"\u0001', data }));
    expect(values.get("path")).toBe('tab\t"\\N"\u0001');
    expect(values.get("route")).toBeNull();
    expect(values.get("seq")).toBe("1");
    expect(values.get("source_id")).toBe(EXAMPLE_SOURCE);
    expect(values.get("data")).toBe('{"10":1,"9":2,"z":["a\\\\b",{"\\n":"\\""}]}');
  });

  it("commits to the personal part with a salt of its own for each event", () => {
    const records = exampleBatch({ count: 2 }).records;
    const [first, second] = records.map((record, index) => row(record, index + 1));
    const personal = Buffer.from(records[0] ?? []).subarray((records[0]?.indexOf(10) ?? 0) + 1);
    const salt = Buffer.from(first?.get("salt")?.slice(2) ?? "", "hex");
    expect(salt).toHaveLength(16);
    expect(first?.get("commitment")).toBe(`\\x${createHash("sha256").update(salt).update(personal).digest("hex")}`);
    expect(second?.get("salt")).not.toBe(first?.get("salt"));
  });

  it("sets the retention class of the category", () => {
    const [record = new Uint8Array()] = exampleBatch().records;
    expect(row(record).get("retention")).toBe("standard");
    expect(row(record, 1, new Map([["authz", "long"]])).get("retention")).toBe("long");
  });

  it("returns rows in pieces, even of records larger than a piece", () => {
    const rows = new CopyRows(EXAMPLE_SOURCE, new Map());
    let pieces = 0;
    let text = "";
    exampleBatch({ count: 40, event: { data: { text: "\\".repeat(30_000) } } }).records.forEach((record, index) => {
      const piece = rows.add(record, index + 1);
      if (piece !== undefined) pieces++;
      text += piece?.toString() ?? "";
    });
    text += rows.take().toString();
    expect(pieces).toBeGreaterThan(30);
    expect(text.split("\n")).toHaveLength(41);
  });

  const [good = new Uint8Array()] = exampleBatch().records;
  const text = Buffer.from(good).toString();
  it.each([
    ["is cut anywhere", text.slice(0, -1)],
    ["has no second line", text.split("\n")[0] ?? ""],
    ["has a third line", `${text}\n{}`],
    ["has another seq", text.replace('"seq":1', '"seq":2')],
    ["has another source", text.replace(EXAMPLE_SOURCE, "01936d2f-5c00-7000-8000-000000000002")],
    ["has an unknown member", text.replace('"v":1', '"v":1,"w":1')],
    ["has members in another order", text.replace(/\{("category":"authz"),("epoch":1)/, "{$2,$1")],
    ["has a member twice", text.replace('"epoch":1', '"epoch":1,"epoch":1')],
    ["has white space", text.replace('"epoch":1', '"epoch": 1')],
    ["has a number in another form", text.replace('"status_code":403', '"status_code":4.03e2')],
    ["has a number with a leading zero", text.replace('"status_code":403', '"status_code":0403')],
    ["has hour 24", text.replace("T19:43", "T24:00")],
    ["has a leap second", text.replace(":01.", ":60.")],
    ["has an id in capitals", text.replace("-5c00-", "-5C00-")],
    ["has an address in another form", text.replace("203.0.113.9", "2001:DB8::1")],
    ["has a network for an address", text.replace("203.0.113.9", "203.0.113.0/24")],
    ["has a raw control character", text.replace("/admin", "/\tadmin")],
    ["has NUL", text.replace("/admin", "/\\u0000admin")],
    ["has a needless escape", text.replace("/admin", "\\/admin")],
    ["has an escape of a plain letter", text.replace("/admin", "/\\u0061dmin")],
    ["has a string for a number", text.replace('"v":1', '"v":"1"')],
    ["has data that never ends", text.replace('"seq":1}', '"seq":1')],
  ])("refuses a record that %s", (_, record) => {
    expect(record).not.toBe(text);
    expect(() => row(record)).toThrow(RecordError);
  });

  it("refuses bytes that are not UTF-8", () => {
    expect(() =>
      row(Buffer.concat([good.subarray(0, 200), Buffer.from([0xed, 0xa0, 0x80]), good.subarray(200)])),
    ).toThrow("UTF-8");
  });

  it("never writes a second row or another column, whatever the bytes", () => {
    const bytes = fc.tuple(fc.nat(text.length), fc.uint8Array({ maxLength: 6 }), fc.nat(6));
    fc.assert(
      fc.property(bytes, ([at, inserted, removed]) => {
        const record = Buffer.concat([good.subarray(0, at), inserted, good.subarray(at + removed)]);
        const rows = new CopyRows(EXAMPLE_SOURCE, new Map());
        try {
          rows.add(record, 1);
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
          return;
        }
        const out = rows.take().toString();
        expect(out.split("\n")).toHaveLength(2);
        expect(out.split("\t")).toHaveLength(COPY_COLUMNS.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("canonicalAddress()", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["::FFFF:192.0.2.1", "::ffff:192.0.2.1"],
    ["::c000:201", "::192.0.2.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0:1:2:3:4:5:6", "2001:0:1:2:3:4:5:6"],
    ["fe80::1%eth0", undefined],
    ["1.2.3", undefined],
    ["", undefined],
  ])("%s is %s", (given, expected) => {
    expect(canonicalAddress(given)).toBe(expected);
  });
});
