import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { fc } from "#test/support/properties.ts";
import type { SecurityEvent } from "../event/event.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { judgeNow } from "../record/judgements.ts";
import type { EventBatch } from "../ship/handler.ts";
import { securityCapture } from "./express/express.ts";
import { type Folded, Folding } from "./folding.ts";

afterEach(() => vi.restoreAllMocks());

const EVENT: Folded = { type: "authz_fail", request: {}, facts: { statusCode: 403 } };

function folding() {
  const folded: Folded[] = [];
  const fold = new Folding((event) => folded.push(event));
  let atOnce = 0;
  const add = (times: number, kind = "k", crowd = kind, address = "192.0.2.1"): void => {
    for (let time = 0; time < times; time++) if (fold.passes({ kind, crowd, address }, EVENT)) atOnce += 1;
  };
  const counts = (): number[] => folded.map(({ facts }) => Number(facts["count"]));
  const recorded = (): number => atOnce + counts().reduce((sum, count) => sum + count, 0);
  return { add, folded, counts, recorded, atOnce: () => atOnce };
}

describe("Folding", () => {
  it("lets the first ten pass at once, and counts the others", () => {
    const { add, counts, atOnce } = folding();
    add(10);
    expect([atOnce(), counts()]).toEqual([10, []]);
    add(31);
    expect([atOnce(), counts()]).toEqual([10, [10, 20]]);
    judgeNow();
    expect(counts()).toEqual([10, 20, 1]);
  });

  it("leaves some twenty rows of a million equal events, whose counts add up", () => {
    const { add, counts, recorded, atOnce } = folding();
    add(1_000_000);
    judgeNow();
    // A slow machine may need a few minutes' windows.
    expect(atOnce() + counts().length).toBeLessThan(200);
    expect(recorded()).toBe(1_000_000);
  });

  it("tells 200 senders apart, and counts the events and the addresses of a botnet's others", () => {
    const { add, folded, recorded, atOnce } = folding();
    for (let bot = 0; bot < 100_000; bot++)
      add(1, `kind of ${bot}`, "crowd", `10.${bot >> 16}.${(bot >> 8) & 255}.${bot & 255}`);
    judgeNow();
    expect(recorded()).toBe(100_000);
    // A slow machine may need a few minutes' windows.
    expect(atOnce() % 200).toBe(0);
    expect(atOnce() + folded.length).toBeLessThan(1_000);
    for (const { facts } of folded) {
      const [count, addresses] = [Number(facts["count"]), Number(facts["addresses"])];
      expect(Math.abs(addresses - count)).toBeLessThanOrEqual(Math.max(3, count * 0.15));
    }
  });

  it("names the account of a botnet's logins only if it is one", () => {
    const folded: Folded[] = [];
    const fold = new Folding((event) => folded.push(event));
    const add = (bot: number, crowd: string, userid: string): void => {
      const likeness = { kind: `${crowd} ${bot}`, crowd, address: `198.18.0.${bot}` };
      fold.passes(likeness, { ...EVENT, facts: { ...EVENT.facts, userid } });
    };
    for (let bot = 0; bot < 250; bot++) {
      add(bot, "stuffing", `user ${bot}`);
      add(bot, "guessing", "ada");
    }
    judgeNow();
    expect(folded.map(({ facts }) => [facts["count"], facts["userid"]])).toEqual([
      [50, undefined],
      [50, "ada"],
    ]);
  });

  it("still tells a sender apart that it knows from before the crowd, and lets another kind pass", () => {
    const { add, folded, atOnce } = folding();
    add(1, "known", "crowd");
    for (let bot = 0; bot < 300; bot++) add(1, `kind of ${bot}`, "crowd");
    expect(atOnce()).toBe(200);
    add(30, "known", "crowd");
    add(1, "other", "another crowd");
    expect(atOnce()).toBe(210);
    judgeNow();
    expect(folded.map(({ facts }) => facts["addresses"])).toEqual([undefined, undefined, 1]);
  });

  it("never holds more of a kind than it has recorded, and loses none of more kinds than it remembers", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3_000), fc.integer({ min: 1, max: 200 })), { maxLength: 60 }), (rounds) => {
        const { add, recorded } = folding();
        let sent = 0;
        for (const [kind, times] of rounds) {
          add(times, `kind ${kind}`);
          sent += times;
          expect(sent - recorded()).toBeLessThanOrEqual(recorded());
        }
        judgeNow();
        expect(recorded()).toBe(sent);
      }),
    );
    const { add, recorded } = folding();
    for (let kind = 0; kind < 2_500; kind++) add(15, `kind ${kind}`);
    judgeNow();
    expect(recorded()).toBe(2_500 * 15);
  });
});

describe("a flood", () => {
  async function flooded(
    options: Parameters<typeof securityCapture>[1],
    durability?: "strict",
    ofTheLog: { readonly failedLogins?: boolean } = {},
  ) {
    const events: SecurityEvent[] = [];
    const directory = mkdtempSync(join(tmpdir(), "seclog-flood-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const log = createSecurityLog({
      spool: durability === undefined ? "memory" : { directory },
      heartbeat: false,
      ...ofTheLog,
      handlers: [
        {
          name: "collector",
          handle: async (batch: EventBatch) =>
            void events.push(...batch.events.filter(({ category }) => category !== "log")),
          close: async () => {},
        },
      ],
      ...(durability !== undefined && { durability: { unauthenticated_request: durability } }),
    });
    const app = express();
    app.set("trust proxy", "loopback");
    app.use(securityCapture(log, options));
    app.use(express.json());
    app.use((req, res) => void res.sendStatus(req.path === "/admin" ? 403 : 401));
    const server = http.createServer(app);
    onTestFinished(() => closeServer(server));
    const port = await listen(server);
    const flood = async (times: number, path: string, address: string, username?: string): Promise<void> => {
      const headers = { "x-forwarded-for": address, "content-type": "application/json" };
      const [method, sent] =
        username === undefined ? ["GET", { headers }] : ["POST", { headers, body: JSON.stringify({ username }) }];
      for (let time = 0; time < times; time++) await send(port, method, path, sent);
    };
    return { log, events, flood };
  }

  const total = (events: readonly SecurityEvent[]): number =>
    events.reduce((sum, { count = 1 }) => sum + Number(count), 0);

  it("leaves few rows, whose counts add up for each address and type", async () => {
    const { log, events, flood } = await flooded({});
    await flood(300, "/private", "203.0.113.1");
    await flood(40, "/private", "203.0.113.2");
    await flood(15, "/admin", "203.0.113.1");
    await log.close();
    const of = (type: string, address: string) =>
      events.filter((event) => event.type === type && event.ipAddress === address);
    for (const [type, address, times] of [
      ["unauthenticated_request", "203.0.113.1", 300],
      ["unauthenticated_request", "203.0.113.2", 40],
      ["authz_fail", "203.0.113.1", 15],
    ] as const) {
      expect(total(of(type, address)), `${type} of ${address}`).toBe(times);
    }
    expect(events.length).toBeLessThan(60);
    const folded = events.find(({ count }) => count !== undefined);
    expect(folded).toMatchObject({ statusCode: 401, level: "warning", path: "/private" });
    expect(String(folded?.startedAt) <= String(folded?.endedAt)).toBe(true);
  });

  it("counts each account of a flood of logins, and its failures", async () => {
    const { log, events, flood } = await flooded({ loginPath: "/login" }, undefined, { failedLogins: true });
    await flood(100, "/login", "203.0.113.1", "ada");
    await flood(5, "/login", "203.0.113.1", "grace");
    await log.close();
    const of = (type: string, actor?: string) =>
      events.filter((event) => event.type === type && event.actorId === actor);
    expect(total(of("authn_login_fail", "ada"))).toBe(100);
    expect(of("authn_login_fail", "ada").length).toBeLessThan(30);
    expect(total(of("authn_login_fail", "grace"))).toBe(5);
    // More, should a minute end meanwhile.
    expect(of("authn_login_fail_max", "ada").length).toBeGreaterThanOrEqual(4);
    expect(of("authn_login_fail_max", "grace")).toHaveLength(1);
  });

  it("leaves few rows of a botnet, and says how many addresses took part", async () => {
    const { log, events, flood } = await flooded({});
    for (let bot = 0; bot < 500; bot++) await flood(1, "/private", `198.18.${bot >> 8}.${bot & 255}`);
    await log.close();
    expect(total(events)).toBe(500);
    // More, should a minute end meanwhile.
    expect(events.length).toBeLessThan(410);
    expect(events.some(({ data }) => Number(data?.["addresses"]) > 50)).toBe(true);
  });

  it("is recorded event by event where they are strict, or where folding is off", async () => {
    for (const [options, durability] of [
      [{ fold: false }, undefined],
      [{}, "strict"],
    ] as const) {
      const { log, events, flood } = await flooded(options, durability);
      await flood(30, "/private", "203.0.113.1");
      await log.close();
      expect(events).toHaveLength(30);
    }
  });
});
