import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog } from "seclog";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BatchResult } from "./batch-result.ts";
import { bodyHash, KeyedResults, keyOf } from "./keyed-results.ts";

let spool: string;
const ends: (() => unknown)[] = [];

beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), "seclog-keys-"));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  rmSync(spool, { recursive: true, force: true });
});

const KEY = keyOf("shop", "1");
const BODY = bodyHash(Buffer.from("body"));
const result = (accepted: number): BatchResult => ({ accepted, refused: 0, forbidden: 0, items: [] });

function open(): KeyedResults {
  const keys = new KeyedResults(spool);
  ends.push(() => keys.close());
  return keys;
}

/** A source with so many events on disk, with its own first one, that nothing ships. */
async function sourceWith(events: number): Promise<string> {
  const log = createSecurityLog({
    spool: { directory: spool },
    heartbeat: false,
    handlers: [{ name: "never", handle: () => new Promise<void>(() => {}), close: async () => {} }],
    diagnostics: () => {},
  });
  ends.push(() => log.close({ deadline: 1 }));
  const receipts = Array.from({ length: events - 1 }, () => log.recordSecurityEvent("authz_fail"));
  await Promise.all(receipts.map(({ durable }) => durable));
  return log.sourceId;
}

async function keep(keys: KeyedResults, accepted: number, source: string, ...runs: [number, number][]): Promise<void> {
  await keys.keep(KEY, { body: BODY, recorded: accepted, result: result(accepted) }, { before: 0, source, runs });
}

describe("KeyedResults", () => {
  it.each([
    ["all of them", [2, 5], 5],
    ["some", [4, 5], 3],
  ] as const)("finds by the spool that %s of a request's events were written", async (_, run, recorded) => {
    const source = await sourceWith(6);
    await keep(open(), run[1], source, [...run]);
    const found = open().find(KEY);
    expect(found).toEqual({ body: BODY, recorded, result: result(run[1]) });
    // What was resolved stays so when the source is gone.
    rmSync(join(spool, source), { recursive: true });
    expect(open().find(KEY)).toEqual(found);
  });

  it("counts over the log's own events between a request's", async () => {
    const source = await sourceWith(6);
    await keep(open(), 4, source, [2, 1], [5, 3]);
    expect(open().find(KEY)?.recorded).toBe(3);
  });

  it("forgets a request of which nothing was written", async () => {
    const source = await sourceWith(6);
    await keep(open(), 5, source, [7, 5]);
    expect(open().find(KEY)).toBeUndefined();
  });

  it("believes what was marked as on disk of a source that is gone, and nothing else", async () => {
    const source = "01936d2f-5c00-7000-8000-000000000001";
    const keys = open();
    await keep(keys, 5, source, [2, 5]);
    expect(open().find(KEY)).toBeUndefined();
    const again = open();
    await keep(again, 5, source, [2, 5]);
    again.mark(source, 6);
    expect(open().find(KEY)?.recorded).toBe(5);
  });

  it("reads over a line that a power loss cut", async () => {
    const source = await sourceWith(6);
    await keep(open(), 2, source, [2, 2]);
    appendFileSync(join(spool, "collector", "keys.ndjson"), '{"key":"abc","bo');
    expect(open().find(KEY)?.recorded).toBe(2);
    expect(readFileSync(join(spool, "collector", "keys.ndjson.old"), "utf8")).not.toContain('"bo\n');
  });

  it("forgets the oldest keys beyond two generations, and keeps the files small", async () => {
    const keys = new KeyedResults(spool, 1_000);
    ends.push(() => keys.close());
    const kept = { body: BODY, recorded: 0, result: result(0) };
    const from = { before: 0, source: "", runs: [] };
    await Promise.all(Array.from({ length: 2_500 }, (_, index) => keys.keep(`key ${index}`, kept, from)));
    for (const key of ["key 0", "key 999"]) expect(keys.find(key)).toBeUndefined();
    for (const key of ["key 1000", "key 2499"]) expect(keys.find(key)).toBeDefined();
    expect(readFileSync(join(spool, "collector", "keys.ndjson.old"), "utf8").split("\n")).toHaveLength(1_001);
  });
});
