import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { textWidth } from "../text/width.ts";
import { Table } from "./table.ts";

interface Row {
  readonly a: string;
  readonly b: string;
}

const COLUMNS = [
  { title: "A", value: (row: Row) => row.a, min: 5 },
  { title: "B", value: (row: Row) => row.b, min: 5 },
];

describe("Table", () => {
  let columns: string | undefined;

  beforeEach(() => {
    columns = process.env["COLUMNS"];
    process.env["COLUMNS"] = "20";
  });

  afterEach(() => {
    if (columns === undefined) delete process.env["COLUMNS"];
    else process.env["COLUMNS"] = columns;
  });

  it("is as wide as its values if they fit", () => {
    expect(new Table(COLUMNS).lines([{ a: "one", b: "two" }])).toBe("A   B\none two\n");
  });

  it("shrinks the widest column first", () => {
    const text = new Table(COLUMNS).lines([{ a: "short", b: "far too long for twenty" }]);
    expect(text).toBe("A     B\nshort far too long …\n");
  });

  it("keeps its widths for later rows, and prints its titles once", () => {
    const table = new Table(COLUMNS);
    table.lines([{ a: "123456", b: "x" }]);
    expect(table.lines([{ a: "1", b: "y" }])).toBe("1      y\n");
  });

  it("lets a wide value use the blank space of later columns, and cuts the last one", () => {
    const table = new Table(COLUMNS);
    table.lines([{ a: "123456", b: "this fills the line" }]);
    expect(table.lines([{ a: "12345678", b: "short" }])).toBe("12345678 short\n");
    expect(table.lines([{ a: "12345678", b: "this fills the line" }])).toBe("12345678 this fills…\n");
    expect(table.lines([{ a: "12345678901234567", b: "as before" }])).toBe("1234567890123… as b…\n");
  });

  it("reserves the typical width only if the first values leave room", () => {
    const columns = [
      { title: "A", value: (row: Row) => row.a, min: 3, typical: 12 },
      { title: "B", value: (row: Row) => row.b, min: 5, typical: 9 },
    ];
    const streamed = (a: string, b: string): string | undefined =>
      new Table(columns, { streaming: true }).lines([{ a, b }]).split("\n")[1];
    expect(streamed("one", "two")).toBe("one          two");
    expect(streamed("one", "a text of 16 ...")).toBe("one a text of 16 ...");
  });

  it("counts columns, not characters", () => {
    const lines = new Table(COLUMNS)
      .lines([{ a: "日本語日本語日本語日本語", b: "é\u0301🚨" }])
      .trimEnd()
      .split("\n");
    expect(lines.map(textWidth).filter((width) => width > 20)).toEqual([]);
    expect(lines[1]).toMatch(/^日.*… +é\u0301🚨$/u);
  });

  it("lets no value reach the terminal as a control sequence", () => {
    const text = new Table(COLUMNS).lines([{ a: "\x1b[2J", b: "\u202e\n" }]);
    expect(text.split("\n")[1]).toBe("\\x1b[2J \\u202e\\n");
  });
});
