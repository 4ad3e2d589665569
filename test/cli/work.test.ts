import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodePosition, shardOf } from "seclog/queues";
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
    // A source is long, and so are reasons.
    const asked = encodePosition({ kind: "asked", sourceId: randomUUID(), seq: 0, nonce: 0 });
    const bury = `local m = string.gsub(ARGV[1], '..', function (pair) return string.char(tonumber(pair, 16)) end)
      return redis.call('XADD', KEYS[1], '*', 'm', m, 'why', string.rep('long ', 60), 'at', '1796000000000')`;
    await engine.run("EVAL", bury, "1", "{seclog}:dead", asked.toString("hex"));
    const lines = (await work(["--dead-letters"])).stdout.split("\n");
    expect(lines.join(" ")).toMatch(/ source [0-9a-f-]{36} +long/);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    await engine.wipe();
  });

  it("answers each application with its own key, and lets no stranger stop it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-keys-"));
    const keys = ["shop", "billing"].map((name) => {
      const key = randomBytes(32).toString("base64");
      writeFileSync(join(folder, `${name}.key`), `${key}\n`, { mode: 0o600 });
      return key;
    });
    const files = ["shop", "billing"].flatMap((name) => ["--queue-key", join(folder, `${name}.key`)]);
    const worker = startProgram(database, ["work", "--from", engine.url, ...files], {
      SECLOG_RELAY_URL: database.relayUrl,
    });
    const store = async (queueKey: string | undefined): Promise<void> => {
      const handler = redisHandler({ url: engine.url, queueKey: queueKey ?? "" });
      await handler.handle(exampleBatch({ sourceId: randomUUID(), count: 5 }), AbortSignal.timeout(20_000));
      await handler.close();
    };
    try {
      for (const key of keys) await store(key);
      // Fields and members that no worker writes, a key of another type, workers from the future.
      const newer = "SECLOGE\u0002".padEnd(200, "x");
      await engine.run("XADD", "{seclog}:events:3", "*", "m", newer, "q", "abc", "a", "-1.5");
      await engine.run("ZADD", "{seclog}:later", "0", "garbage");
      await engine.run("ZADD", "{seclog}:later", "0", "99 1 1 x other");
      await engine.run("DEL", "{seclog}:events:5");
      await engine.run("SET", "{seclog}:events:5", "x");
      for (let ghost = 0; ghost < 40; ghost++) await engine.run("ZADD", "{seclog}:workers", "1e18", `ghost${ghost}`);
      await expect.poll(() => engine.run("ZCARD", "{seclog}:later")).toMatch(/^[01]\n$/);
      for (let times = 0; times < 4; times++) {
        const handler = redisHandler({ url: engine.url, queueKey: keys[1] ?? "" });
        // Not of the shard whose key is broken.
        const sourceId = [...Array(40)].map(() => randomUUID()).find((id) => shardOf(id) !== 5) ?? "";
        await handler.handle(exampleBatch({ sourceId, count: 5 }), AbortSignal.timeout(20_000));
        await handler.close();
      }
      // A server that is full: what it holds is still stored, which frees its memory.
      const waiting = redisHandler({ url: engine.url, queueKey: keys[0] ?? "", confirm: "queued" });
      worker.kill("SIGSTOP");
      const sourceId = [...Array(40)].map(() => randomUUID()).find((id) => shardOf(id) !== 5) ?? "";
      await waiting.handle(exampleBatch({ sourceId, count: 50 }), AbortSignal.timeout(20_000));
      await engine.fill();
      worker.kill("SIGCONT");
      await expect
        .poll(() => database.query("SELECT seq FROM security_event_log WHERE source_id = $1", [sourceId]))
        .toHaveLength(50);
      await waiting.close();
    } finally {
      await engine.relieve();
      await engine.run("DEL", "{seclog}:events:5");
      const result = resultOf(worker);
      worker.kill("SIGTERM");
      await result;
      rmSync(folder, { recursive: true });
    }
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
