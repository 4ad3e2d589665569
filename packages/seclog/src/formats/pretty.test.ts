import { describe, expect, it } from "vitest";
import type { SecurityEvent } from "../event/event.ts";
import { LEVELS } from "../event/level.ts";
import { type PrettyOptions, prettyEvent } from "./pretty.ts";

const EVENT: SecurityEvent = {
  v: 1,
  id: "019aad2f-1b2c-7000-8000-000000000001",
  occurredAt: "2026-11-22T19:43:22.123456Z",
  sourceId: "019aad2f-0000-7000-8000-000000000001",
  epoch: 1,
  seq: 7,
  type: "authz_fail",
  level: "critical",
  category: "authz",
  outcome: "failure",
  logger: "security",
  method: "GET",
  path: "/admin",
  statusCode: 403,
  ipAddress: "203.0.113.9",
  actorId: "ada",
  data: { resource: "orders" },
};

const PLAIN: PrettyOptions = { colour: false, width: undefined, facts: false };

const SGR = /\u001b\[[\d;]*m/g;

describe("prettyEvent()", () => {
  it("prints one line: time, level, type, request, status, address, actor, target, data", () => {
    expect(prettyEvent({ ...EVENT, targetId: "8", count: 3 }, PLAIN)).toContain(" ada → 8 ×3 resource");
    expect(prettyEvent(EVENT, PLAIN)).toMatch(
      /^\d\d:\d\d:22 CRIT {2}authz_fail {17}GET \/admin 403 203\.0\.113\.9 ada resource=orders\n$/,
    );
  });

  it("begins the request in the same column, whatever the level", () => {
    const columns = LEVELS.map((level) => prettyEvent({ ...EVENT, level }, PLAIN).indexOf("GET"));
    expect(new Set(columns)).toEqual(new Set([42]));
  });

  it("never exceeds the terminal's width, with or without colours", () => {
    const event = { ...EVENT, path: `/${"a".repeat(50)}`, data: { note: "x".repeat(200) } };
    for (let width = 20; width < 300; width++) {
      for (const colour of [false, true]) {
        const text = prettyEvent(event, { colour, width, facts: false }).trimEnd().replace(SGR, "");
        expect(text.length).toBeLessThanOrEqual(width);
        expect(text.endsWith("…")).toBe(!text.endsWith("x".repeat(200)));
      }
    }
  });

  it("says the same with colours as without", () => {
    const coloured = prettyEvent(EVENT, { ...PLAIN, colour: true, facts: true });
    expect(coloured).toContain("\u001b[1;31mCRIT \u001b[0m");
    expect(coloured.replace(SGR, "")).toBe(prettyEvent(EVENT, { ...PLAIN, facts: true }));
    expect(prettyEvent(EVENT, { ...PLAIN, facts: true })).not.toContain("\u001b");
  });

  it("lists every fact on demand", () => {
    const lines = prettyEvent({ ...EVENT, notes: { flags: ["odd"] } }, { ...PLAIN, width: 80, facts: true }).split(
      "\n",
    );
    expect(lines).toContain("         ├ path          /admin");
    expect(lines).toContain("         ├ data.resource orders");
    expect(lines).toContain('         ├ notes.flags   ["odd"]');
    expect(lines.at(-2)).toBe("         └ logger        security");
  });

  it("prints nothing that a terminal obeys", () => {
    const hostile = "\u001b[2J\r\nFAKE \u202e";
    const event = { ...EVENT, type: "authz_fail", path: hostile, actorId: hostile, data: { [hostile]: hostile } };
    const text = prettyEvent(event, { ...PLAIN, facts: true });
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(prettyEvent(event, PLAIN).split("\n")).toHaveLength(2);
  });
});
