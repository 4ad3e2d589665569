import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { cutText, escapeText, keepText, NoteTaker, unescapeText } from "./text.ts";

/** Any sequence of UTF-16 units, with many of the kinds that matter here. */
const units = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0, 0x5c, 0x75, 0xd83d, 0xde00, 0xd800)))
  .map((codes) => String.fromCharCode(...codes));

describe("keepText()", () => {
  it("leaves plain text unchanged and notes nothing", () => {
    const notes = new NoteTaker();
    for (const plain of ["", "plain", "C:\\dir", "\\u0000", "emoji \u{1f600}", "\u001b[31m\r\n\u202e"]) {
      expect(keepText(plain, "data.x", 100, notes)).toBe(plain);
    }
    expect(notes.notes()).toBeUndefined();
  });

  it("escapes NUL and lone surrogates, and then backslashes too, so that it is reversible", () => {
    const notes = new NoteTaker();
    expect(keepText("a\0b\ud800\\", "path", 100, notes)).toBe("a\\u0000b\\ud800\\\\");
    expect(notes.notes()).toEqual({ escaped: ["path"] });
  });

  it("is well-formed, without NUL, and reversible, for every text", () => {
    fc.assert(
      fc.property(units, (text) => {
        const notes = new NoteTaker();
        const kept = keepText(text, "x", 1e9, notes);
        expect(kept.isWellFormed()).toBe(true);
        expect(kept).not.toContain("\0");
        expect(notes.notes()?.escaped ? unescapeText(kept) : kept).toBe(text);
      }),
    );
  });

  it("cuts at the limit, never within a surrogate pair, and notes the length", () => {
    fc.assert(
      fc.property(units, fc.integer({ min: 1, max: 20 }), (text, limit) => {
        const cut = cutText(text, limit);
        expect(text.startsWith(cut)).toBe(true);
        expect(cut.length).toBeGreaterThanOrEqual(Math.min(text.length, limit - 1));
        expect(cut.length).toBeLessThanOrEqual(limit);
        expect(escapeText(cut).length <= escapeText(text).length).toBe(true);
        if (text.isWellFormed()) expect(cut.isWellFormed()).toBe(true);
        const notes = new NoteTaker();
        keepText(text, "x", limit, notes);
        expect(notes.notes()?.truncated).toEqual(text.length > limit ? { x: text.length } : undefined);
      }),
    );
    expect(cutText("ab\u{1f600}", 3)).toBe("ab");
  });
});

describe("NoteTaker", () => {
  it("has nothing until something is noted", () => {
    expect(new NoteTaker().notes()).toBeUndefined();
  });

  it("notes each path once", () => {
    const notes = new NoteTaker();
    notes.redacted("data.a");
    notes.redacted("data.a");
    expect(notes.notes()).toEqual({ redacted: ["data.a"] });
  });

  it("stays small, and says how many notes were left out", () => {
    const notes = new NoteTaker();
    for (let i = 0; i < 1000; i++) {
      notes.redacted(`data.${"k".repeat(500)}${i}`.slice(0, 40) + i);
      notes.converted(`data.${i}`, "bigint");
    }
    const taken = notes.notes();
    expect(taken?.redacted).toHaveLength(50);
    expect(Object.keys(taken?.converted ?? {})).toHaveLength(50);
    expect(taken?.flags).toEqual(["1900 more notes"]);
  });

  it("removes secrets from flags before it cuts and escapes them", () => {
    const notes = new NoteTaker((text) => text.replaceAll("hunter2", "*"));
    notes.flag(`${"x".repeat(297)}hunter2 \0`);
    notes.flag("hunter2 \0 \ud800");
    expect(notes.notes()).toEqual({
      flags: [`${"x".repeat(297)}* \\u0000`, "* \\u0000 \\ud800"],
      redacted: ["notes.flags"],
      escaped: ["notes.flags"],
    });
  });

  it("keeps a path called __proto__ as a path", () => {
    const notes = new NoteTaker();
    notes.truncated("__proto__", 3);
    expect(JSON.stringify(notes.notes())).toBe('{"truncated":{"__proto__":3}}');
  });
});
