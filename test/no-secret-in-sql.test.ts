/** Secrets that Seclog sends stay out of pg_stat_activity, the statistics and the server's log. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../packages/demo/src/embedded-postgres.ts";

const folder = mkdtempSync(join(tmpdir(), "seclog-no-secret-"));
const spool = join(folder, "spool");
const PASSWORD = "no-secret-password";
let server: EmbeddedPostgres;
let writerUrl = "";

beforeAll(async () => {
  server = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    durable: false,
    settings: {
      shared_preload_libraries: "pg_stat_statements",
      "pg_stat_statements.track": "all",
      log_statement: "all",
      log_min_error_statement: "error",
      log_parameter_max_length: "0",
    },
  });
  const url = new URL(server.url);
  Object.assign(url, { pathname: "/seclog_secrets", username: "secrets_writer", password: PASSWORD });
  writerUrl = url.href;
  await asAdmin("CREATE EXTENSION pg_stat_statements");
  await setupDatabase({ adminUrl: server.url, writerUrl });
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function asAdmin(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Everything that the server keeps of statements: its log and its statistics. */
async function kept(): Promise<string> {
  const statements = await asAdmin("SELECT query FROM pg_stat_statements");
  expect(statements.length).toBeGreaterThan(10);
  return `${JSON.stringify(statements)}\n${readFileSync(join(folder, "postgres/postgres.log"), "utf8")}`;
}

describe("postgresHandler()", () => {
  it("never shows a source's key to other sessions of its login, the statistics or the log", async () => {
    const spy = new pg.Client({ connectionString: writerUrl });
    await spy.connect();
    const seen = new Set<string>();
    let done = false;
    const watching = (async () => {
      while (!done) {
        const { rows } = await spy.query<{ query: string }>(
          "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user",
        );
        for (const { query } of rows) seen.add(query);
      }
    })();
    const handlers = [postgresHandler({ url: writerUrl, batchSize: 5 })];
    const log = createSecurityLog({ spool: { directory: spool }, handlers, heartbeat: false });
    const [source = ""] = readdirSync(spool);
    const { key } = JSON.parse(readFileSync(join(spool, source, "owner.1"), "utf8")) as { key: string };
    expect(key).toMatch(/^[0-9a-f]{32}$/);
    for (let index = 0; index < 2_000; index++) log.recordSecurityEvent("authz_fail", null, { resource: `${index}` });
    await log.close({ deadline: 60_000 });
    done = true;
    await watching;
    await spy.end();
    const text = await kept();
    expect(text).toContain("seclog_advance");
    expect([...seen].join("\n")).toContain("seclog_");
    for (const where of [[...seen].join("\n"), text]) expect(where).not.toContain(key);
  });
});

describe("setupDatabase()", () => {
  it("leaves neither password nor verifier in statistics and log, even when it may not set them", async () => {
    const [{ verifier } = { verifier: "" }] = (await asAdmin(
      "SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = 'secrets_writer'",
    )) as { verifier: string }[];
    expect(verifier).toMatch(/^SCRAM-SHA-256\$/);
    // May create roles, but not set the password of a role that another administrator created.
    await asAdmin("CREATE ROLE poor_admin LOGIN CREATEROLE CREATEDB PASSWORD 'poor-admin-password'");
    await asAdmin(
      "GRANT seclog_owner, seclog_writer, seclog_reader, seclog_sealer, seclog_relay, seclog_console TO poor_admin WITH ADMIN OPTION",
    );
    const poor = new URL(server.url);
    Object.assign(poor, { username: "poor_admin", password: "poor-admin-password" });
    await expect(setupDatabase({ adminUrl: poor.href, writerUrl })).rejects.toMatchObject({ code: "SECLOG_SETUP" });
    const text = await kept();
    expect(text).toContain("ALTER ROLE %I LOGIN PASSWORD");
    for (const secret of [PASSWORD, verifier, "SCRAM-SHA-256$"]) expect(text).not.toContain(secret);
  });
});
