import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { redisHandler } from "seclog/redis";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RedisEngine } from "#faults/engines/redis.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { resultOf, runProgram, startProgram } from "#test/support/program.ts";

const missing = RedisEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of seclog work: ${missing}`);

const KEY = randomBytes(32).toString("base64");

describe.skipIf(missing !== undefined)("seclog work", () => {
  let database: TestDatabase;
  let engine: RedisEngine;

  beforeAll(async () => {
    [database, engine] = await Promise.all([createTestDatabase(), RedisEngine.start()]);
  });
  afterAll(async () => {
    await engine?.end();
    await database?.[Symbol.asyncDispose]();
  });

  const environment = () => ({ SECLOG_RELAY_URL: database.relayUrl, SECLOG_QUEUE_KEY: KEY });
  const work = (args: readonly string[], more: { readonly [name: string]: string } = {}) =>
    runProgram(database, ["work", "--from", engine.url, ...args], { ...environment(), ...more });

  it("stores what comes, says how it is over HTTP, and ends when asked", async () => {
    const child = startProgram(database, ["work", "--from", engine.url, "--listen", "127.0.0.1:0"], environment());
    const address = await new Promise<string>((resolve) => {
      child.stdout?.once("data", (text) => resolve(String(text).trim()));
    });
    const get = async (path: string) => {
      const response = await fetch(`${address}${path}`);
      return { status: response.status, text: await response.text() };
    };
    await expect.poll(async () => (await get("/readyz")).status).toBe(200);
    expect(await get("/healthz")).toEqual({ status: 200, text: "ok\n" });
    expect((await get("/nowhere")).status).toBe(404);
    expect((await fetch(`${address}/readyz`, { method: "POST" })).status).toBe(405);

    const handler = redisHandler({ url: engine.url, queueKey: KEY });
    const sourceId = randomUUID();
    await handler.handle(exampleBatch({ sourceId, count: 30 }), AbortSignal.timeout(20_000));
    await handler.close();
    const [row] = await database.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(row?.n).toBe(30);

    const { text } = await get("/metrics");
    for (const line of [
      /^seclog_work_events_stored_total 30$/m,
      /^seclog_work_queue_messages \d/m,
      /^seclog_work_ready 1$/m,
    ]) {
      expect(text).toMatch(line);
    }
    // The engine goes away: the worker says so, and recovers.
    await engine.kill();
    await expect.poll(async () => (await get("/readyz")).text).toMatch(/Redis|ECONNREFUSED|connect/);
    expect((await get("/healthz")).status).toBe(200);
    await engine.up();
    await expect.poll(async () => (await get("/readyz")).status).toBe(200);

    const result = resultOf(child);
    child.kill("SIGTERM");
    expect(await result).toMatchObject({ code: 0, stdout: expect.stringContaining("Stored 30 events.") });
  });

  it("lists dead letters, puts them back, and drops them on record", async () => {
    const worker = startProgram(database, ["work", "--from", engine.url], environment());
    try {
      await engine.inject(Buffer.from("no envelope"));
      await engine.inject(Buffer.from("another one"));
      await expect.poll(async () => (await work(["--dead-letters", "--json"])).stdout.split("\n").length).toBe(3);
    } finally {
      const result = resultOf(worker);
      worker.kill("SIGTERM");
      await result;
    }
    const table = await work(["--dead-letters"]);
    expect(table.stdout).toContain("11 bytes\n  the envelope cannot be read: its 11 bytes do not begin with SECLOGE\n");
    const [first] = (await work(["--dead-letters", "--json"])).stdout
      .split("\n")
      .map((line) => line && JSON.parse(line));
    expect(await work(["--dead-letters", "--drop", first.id])).toMatchObject({ code: 2 });
    const dropped = await work(["--dead-letters", "--drop", first.id, "--reason", "a scanner's"]);
    expect(dropped).toMatchObject({ code: 0, stdout: "Dropped 1 message, on record.\n" });
    const rows = await database.query<{ data: object }>(
      "SELECT data FROM security_event_log WHERE event_type = 'dead_letters_dropped'",
    );
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows[0]?.data)).toContain(first.sha256);
    expect((await work(["--dead-letters", "--drop", "1-1", "--reason", "x"])).stderr).toContain('"1-1"');
    expect(await work(["--dead-letters", "--retry", "all"])).toMatchObject({ stdout: "Put 1 message back.\n" });
    expect((await work(["--dead-letters"])).stdout).toBe("No dead letters.\n");
  });

  it("refuses what would not work, and never repeats a secret", async () => {
    const refused = async (args: readonly string[], more: { readonly [name: string]: string } = {}) => {
      const result = await runProgram(database, ["work", ...args], { SECLOG_RELAY_URL: database.relayUrl, ...more });
      expect(result.code).toBe(2);
      return result.stderr;
    };
    expect(await refused([])).toMatch(/--from, or set SECLOG_QUEUE_URL/);
    expect(await refused(["--from", "http://127.0.0.1"])).toMatch(/--from must begin with one of .*redis:/);
    expect(await refused(["--from", "redis://:secret-4711@127.0.0.1"])).not.toContain("4711");
    expect(await refused(["--from", engine.url], { NODE_ENV: "production" })).toMatch(/without a queue key/);
    expect(await refused(["--from", engine.url], { SECLOG_QUEUE_KEY: "short" })).toMatch(/32 random bytes/);
    expect(await refused(["--from", engine.url, "--plain"], { SECLOG_QUEUE_KEY: KEY })).toMatch(/exclude each other/);
    expect(await refused(["--from", engine.url, "--queue", "a b"])).toContain('"a b"');
    expect(await refused(["--from", engine.url, "--lost-after", "soon"])).toContain('"soon"');
    const folder = mkdtempSync(join(tmpdir(), "seclog-keys-"));
    try {
      const file = join(folder, "shop.key");
      writeFileSync(file, `${KEY}\n`);
      chmodSync(file, 0o644);
      expect(await refused(["--from", engine.url, "--queue-key", file])).toMatch(/readable by other users: chmod 600/);
      chmodSync(file, 0o600);
      const twice = ["--queue-key", `shop=${file}`, "--queue-key", `billing=${file}`];
      expect(await refused(["--from", engine.url, ...twice])).toMatch(/shop and billing have the same queue key/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
