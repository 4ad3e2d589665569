/** Every command and the application's writer through a real PgBouncer, in each pool mode. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createSecurityLog } from "seclog";
import { postgresHandler, relayStore } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isLong } from "./support/long.ts";
import { hasPgBouncer, PgBouncer } from "./support/pgbouncer.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { collect, LONG, type Result, resultOf, runProgram, startProgram } from "./support/program.ts";

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  if (!hasPgBouncer) return;
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-test-pooled-"));
});
afterAll(async () => {
  if (!hasPgBouncer) return;
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** The test database's URLs through a pooler. */
function pooled(pooler: PgBouncer): Record<string, string> {
  return {
    SECLOG_ADMIN_URL: pooler.through(database.serverUrl),
    SECLOG_DATABASE_URL: pooler.through(database.writerUrl),
    SECLOG_READER_URL: pooler.through(database.readerUrl),
    SECLOG_SEALER_URL: pooler.through(database.sealerUrl),
  };
}

/** The advisory locks that idle connections still hold. */
async function leftOnConnections(): Promise<unknown[]> {
  return await database.query(
    `SELECT application_name, locktype FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND state = 'idle' AND datname IN (current_database(), 'postgres')`,
  );
}

/** The stricter of the supported modes, or both. */
const MODES = isLong ? (["session", "transaction"] as const) : (["transaction"] as const);

describe.runIf(hasPgBouncer).each(MODES)("pool_mode = %s", LONG, (mode) => {
  it("carries setup, the application, and every command", async () => {
    await using pooler = await PgBouncer.start({ serverUrl: database.serverUrl, mode });
    const urls = pooled(pooler);
    const seclog = (...args: string[]): Promise<Result> => runProgram(database, args, urls);
    const succeed = async (...args: string[]): Promise<string> => {
      const result = await seclog(...args);
      expect(result, `seclog ${args.join(" ")}`).toMatchObject({ code: 0 });
      return result.stdout;
    };
    const key = join(folder, `${mode}.key`);
    const next = join(folder, `${mode}-next.key`);

    expect(await succeed("setup")).toContain("nothing to change");
    expect(await leftOnConnections()).toEqual([]);

    const log = createSecurityLog({
      service: mode,
      spool: "memory",
      heartbeat: false,
      handlers: [postgresHandler({ url: urls["SECLOG_DATABASE_URL"] ?? "" })],
    });
    const receipts = Array.from({ length: 300 }, (_, index) =>
      log.recordSecurityEvent("authz_fail", null, { actor: `${mode}-${index}`, resource: "orders" }),
    );
    await Promise.all(receipts.map(({ stored }) => stored));
    await log.close();

    // The tests' server runs without fsync.
    const { checks } = JSON.parse((await seclog("doctor", "--json")).stdout) as {
      checks: { status: string; finding: string }[];
    };
    expect(checks.filter(({ status }) => status === "fault")).toEqual([
      expect.objectContaining({ finding: expect.stringContaining("fsync = off") }),
    ]);
    const { events } = JSON.parse(await succeed("query", "--json", "--limit", "all", "--actor", `${mode}-7`)) as {
      events: { id: string }[];
    };
    expect(events).toHaveLength(1);
    const id = events[0]?.id ?? "";
    expect(JSON.parse(await succeed("stats", "--json"))).toMatchObject({ seal: { leaves: expect.any(Number) } });

    // Both modes share the database: the second continues the log with the key to which the first rotated.
    const previous = mode === MODES[0] ? undefined : join(folder, `${MODES[0]}-next.key`);
    const { vkey } = JSON.parse(
      previous === undefined
        ? await succeed("keys", "generate", "--json", "--out", key, "--name", "pooled.example/log")
        : await succeed("keys", "rotate", "--json", "--key", previous, "--out", key),
    ) as { vkey: string };
    expect(await succeed("seal", "--once", "--key", key)).toMatch(/Sealed/);
    await succeed("prove", id, "--out", join(folder, `${mode}.proof`));
    const rotated = JSON.parse(await succeed("keys", "rotate", "--json", "--key", key, "--out", next)) as {
      vkey: string;
    };
    expect(await succeed("seal", "--once", "--key", next)).toBeTruthy();
    vkeys.push(vkey, rotated.vkey);
    await succeed("verify", ...vkeys.flatMap((each) => ["--vkey", each]));

    await succeed("retention", "session=short");
    await succeed("hold", "--reason", "case 1", "--until", "2000-01-01");
    await succeed("erase", "--actor", `${mode}-7`, "--reason", "ticket 1", "--yes", "--database", database.name);
    await succeed("prune", "--older-than", "90d", "--reason", "policy", "--yes");
    await succeed("verify", ...vkeys.flatMap((each) => ["--vkey", each]));
    expect(await leftOnConnections()).toEqual([]);
  });

  it("carries two relays that store one source", async () => {
    await using pooler = await PgBouncer.start({ serverUrl: database.serverUrl, mode });
    const url = pooler.through(database.relayUrl);
    const stores = [relayStore({ url }), relayStore({ url })];
    const sourceId = `01936d2f-5c00-7000-8000-00000000000${mode === "session" ? 1 : 2}`;
    const source = { id: sourceId, epoch: 1, keyHash: "ab".repeat(32), acknowledged: 0, sender: "" };
    try {
      const signal = AbortSignal.timeout(60_000);
      for (let firstSeq = 1; firstSeq <= 400; firstSeq += 20) {
        const { records } = exampleBatch({ sourceId, firstSeq, count: 20 });
        const store = (index: number): Promise<number> =>
          stores[index % 2]?.store({ source, firstSeq, records }, signal) as Promise<number>;
        // The same batch at both at once, as in a redelivery, and again.
        expect(await Promise.all([store(0), store(1)])).toEqual([firstSeq + 19, firstSeq + 19]);
        expect(await store(firstSeq)).toBe(firstSeq + 19);
      }
      expect(await stores[0]?.pass(source, 401, 410, "the queue was purged", signal)).toBe(410);
      await stores[1]?.dropped({ queue: "q", dropped: 1, sha256: [], reason: "poison" }, signal);
    } finally {
      for (const store of stores) await store.close();
    }
    const [row] = await database.query(
      "SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS numbers FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(row).toEqual({ rows: 400, numbers: 400 });
  });

  it("carries tail, serve and a sealer while the application writes", async () => {
    await using pooler = await PgBouncer.start({ serverUrl: database.serverUrl, mode });
    const urls = pooled(pooler);
    const tail = startProgram(database, ["tail", "--json", "-n", "0", "--interval", "0.1"], urls);
    const serve = startProgram(database, ["tiles", "--listen", "127.0.0.1:0"], urls);
    const seal = startProgram(database, ["seal", "--key", join(folder, `${mode}-next.key`), "--json"], urls);
    const ends = [tail, serve, seal].map(resultOf);
    const shown = collect(tail.stdout);
    const served = collect(serve.stdout);
    const sealed = collect(seal.stdout);
    const log = createSecurityLog({
      service: mode,
      spool: "memory",
      heartbeat: false,
      handlers: [postgresHandler({ url: urls["SECLOG_DATABASE_URL"] ?? "" })],
    });
    try {
      // tail only shows events that arrive after its start.
      await expect
        .poll(
          () => {
            log.recordSecurityEvent("authz_fail", null, { resource: `tail-${mode}` });
            return shown();
          },
          { timeout: 60_000, interval: 200 },
        )
        .toContain(`tail-${mode}`);
      await expect.poll(served, { timeout: 60_000 }).toMatch(/^http.*\n/);
      await expect.poll(() => sealed().split("\n").length, { timeout: 60_000 }).toBeGreaterThan(2);
      const response = await fetch(`${served().trim()}/checkpoint`);
      expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("pooled.example/log")]);
    } finally {
      await log.close();
      for (const child of [tail, serve, seal]) child.kill("SIGTERM");
      for (const end of ends) expect(await end).toMatchObject({ code: expect.toBeOneOf([0, 130, 143]) });
    }
  });
});

const vkeys: string[] = [];

describe.runIf(hasPgBouncer)("pool_mode = statement", LONG, () => {
  it("is refused with advice, by every program and by the application", async () => {
    await using pooler = await PgBouncer.start({ serverUrl: database.serverUrl, mode: "statement" });
    const urls = pooled(pooler);
    for (const command of [["setup"], ["query"], ["stats"], ["erase", "--actor", "x", "--reason", "y"]]) {
      const result = await runProgram(database, command, urls);
      expect(result, command.join(" ")).toMatchObject({ code: 3, stderr: expect.stringContaining("set pool_mode") });
    }
    const messages: string[] = [];
    const log = createSecurityLog({
      spool: "memory",
      heartbeat: false,
      handlers: [postgresHandler({ url: urls["SECLOG_DATABASE_URL"] ?? "" })],
      diagnostics: ({ message }) => messages.push(message),
    });
    log.recordSecurityEvent("authz_fail", null);
    await expect.poll(() => messages.join("\n"), { timeout: 60_000 }).toContain("set pool_mode");
    await log.close({ deadline: 1 });
  });
});

describe.runIf(hasPgBouncer)("setupDatabase()", LONG, () => {
  it("leaves neither a lock nor a role on a pooled connection", async () => {
    await using pooler = await PgBouncer.start({ serverUrl: database.serverUrl, mode: "transaction", poolSize: 1 });
    const adminUrl = pooler.through(database.serverUrl);
    const others = [`${database.name}_b`, `${database.name}_c`];
    try {
      for (const name of others) await setupDatabase({ adminUrl, database: name, lockTimeout: 20_000 });
      for (const name of ["postgres", ...others]) {
        const client = new pg.Client(Object.assign(new URL(adminUrl), { pathname: `/${name}` }).href);
        await client.connect();
        const { rows } = await client.query(
          "SELECT current_user AS role, current_setting('search_path') AS path, current_setting('lock_timeout') AS wait",
        );
        expect(rows).toEqual([{ role: "postgres", path: '"$user", public', wait: "0" }]);
        await client.end();
      }
      expect(await leftOnConnections()).toEqual([]);
    } finally {
      for (const name of others) await database.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    }
  });
});
