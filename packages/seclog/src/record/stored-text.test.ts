import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { COLUMN_LIST } from "../event/columns.ts";
import { NoteTaker } from "../event/text.ts";
import { clean } from "./clean.ts";
import { createRedactor } from "./redact.ts";
import { SECRET_PATTERNS } from "./secret-patterns.ts";
import { storedText, type TextColumn } from "./stored-text.ts";

const columns = COLUMN_LIST.filter(
  ({ limit, member }) => limit !== undefined && member !== "path" && member !== "ipChain",
).map(({ member }) => member as TextColumn);

describe("storedText()", () => {
  it("returns what an event keeps of any text", () => {
    const redactor = createRedactor({ allowPatterns: SECRET_PATTERNS });
    fc.assert(
      fc.property(fc.constantFrom(...columns), fc.string({ unit: "binary", maxLength: 600 }), (column, text) => {
        expect(storedText(column, text)).toBe(clean(text, column, redactor, new NoteTaker()));
      }),
    );
  });

  it("keeps long ids distinct that begin alike, within the limit, and notes their length", () => {
    const notes = new NoteTaker();
    const ids = ["Jane", "Joan"].map((name) => `${"ou=people,".repeat(40)}cn=${name}`);
    const kept = ids.map((id) => clean(id, "actorId", createRedactor(), notes));
    expect(new Set(kept).size).toBe(2);
    for (const text of kept) {
      expect(text).toMatch(/^ou=people,.*\u2026sha256:[0-9a-f]{64}$/);
      expect(text).toHaveLength(256);
    }
    expect(kept).toEqual(ids.map((id) => storedText("actorId", id)));
    expect(notes.notes()).toEqual({ truncated: { actorId: 407 } });
    // A query accepts what an earlier one printed.
    expect(storedText("actorId", kept[0] ?? "")).toBe(kept[0]);
  });

  it("omits the hash of an id that contained a secret", () => {
    const id = `Bearer abcdef123456 ${"x".repeat(400)}`;
    expect(clean(id, "actorId", createRedactor(), new NoteTaker())).toMatch(/^Bearer \[redacted\] x+$/);
  });

  it.each([
    ["type", "AUTHN_LOGIN_FAIL", "authn_login_fail"],
    ["type", "malicious_excess404", "malicious_excess_404"],
    ["actorId", 4711, "4711"],
    ["actorId", 9007199254740993n, "9007199254740993"],
    ["path", "/reset?token=x#y", "/reset"],
    ["path", "/a;jsessionid=1/b", "/a/b"],
    ["path", "https://shop.example/a?b", "/a"],
    ["ipAddress", "::ffff:192.0.2.1", "192.0.2.1"],
    ["ipAddress", "[2001:DB8::1]:443", "2001:db8::1"],
    ["ipAddress", "192.0.2.1:80", "192.0.2.1"],
    ["ipAddress", "fe80::1%eth0", "fe80::1"],
    ["ipAddress", "nobody", undefined],
  ] as const)("%s %s is %s", (column, value, kept) => {
    expect(storedText(column, value)).toBe(kept);
  });
});
