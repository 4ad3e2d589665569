import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import winston from "winston";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Environment, LONG, programOf, type Result, resultOf } from "../support/program.ts";

const program = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));

let database: TestDatabase;
let folder: string;
const { seclog } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-ingest-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** Runs the command with this standard input. */
async function ingest(input: string, args: readonly string[], environment: Environment = {}): Promise<Result> {
  const child = spawn(process.execPath, [program, "ingest", "--spool", join(folder, "spool"), ...args], {
    env: { PATH: process.env["PATH"], SECLOG_DATABASE_URL: database.writerUrl, ...environment },
  });
  const result = resultOf(child);
  child.stdin.end(input);
  return await result;
}

async function stored(query: string): Promise<{ readonly [name: string]: unknown }[]> {
  const { stdout } = await seclog(["query", query, "--ndjson"]);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as { readonly [name: string]: unknown }).reverse();
}

describe("seclog ingest", LONG, () => {
  it("records pino's lines with their level, time and request, and names lines that are not records", async () => {
    let lines = "";
    const time = Date.now() - 3_600_000;
    const logger = pino({ name: "shop", timestamp: () => `,"time":${time}` }, { write: (line) => (lines += line) });
    const req = { method: "GET", url: "/admin", headers: { "user-agent": "curl" }, remoteAddress: "203.0.113.9" };
    logger.info("not one of the security logger");
    logger.child({ name: "security" }).error({ event: "authz_fail", userid: "ada", req }, "refused");
    const { code, stderr } = await ingest(`${lines}{"half\n\n[1]\n`, ["--format", "pino", "--service", "shop"]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("1 event recorded, 2 lines that are not records.")]);
    expect(stderr).toMatch(/"\{\\"half" is not a record: /);
    expect(await stored("type:authz_fail")).toMatchObject([
      {
        event_type: "authz_fail",
        level: "error",
        service: "shop",
        occurred_at: new Date(time).toISOString().replace("Z", "000Z"),
        actor_id: "ada",
        method: "GET",
        ip_address: "203.0.113.9",
      },
    ]);
  });

  it("records winston's lines, of every logger if asked", async () => {
    let lines = "";
    const stream = Object.assign(Object.create(process.stdout), { write: (line: string) => (lines += line) });
    const format = winston.format.combine(winston.format.timestamp(), winston.format.json());
    const logger = winston.createLogger({ format, transports: [new winston.transports.Stream({ stream })] });
    for (let number = 0; number < 2_500; number++) logger.warn("user_deleted", { onuserid: `u${number}` });
    const { code, stdout } = await ingest(lines, ["--format", "winston", "--loggers", "all", "--json"]);
    expect([code, JSON.parse(stdout)]).toEqual([0, { recorded: 2_500, unknown: 0, stored: true }]);
    const { stdout: counted } = await seclog(["count", "type:user_deleted", "--json"]);
    expect(JSON.parse(counted)).toMatchObject({ events: 2_500 });
  });

  it("keeps what it has read while the database is away, and says how to store it", async () => {
    const lines = `${JSON.stringify({ level: 40, name: "security", msg: "sensitive_read", time: Date.now() })}\n`;
    const away = { SECLOG_DATABASE_URL: "postgresql://app:none@127.0.0.1:1/seclog" };
    const { code, stderr } = await ingest(lines, ["--format", "pino"], away);
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/they wait in .*seclog ship --spool.*\[SECLOG_DEADLINE\]/s),
    ]);
    expect(stderr).not.toContain("none@");
    expect(await stored("type:sensitive_read")).toEqual([]);
    const shipped = await seclog(["ship", "--spool", join(folder, "spool")]);
    expect(shipped.code).toBe(0);
    expect(await stored("type:sensitive_read")).toHaveLength(1);
  });

  it("refuses a format that it does not know", async () => {
    const { code, stderr } = await ingest("", ["--format", "bunyan"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--format "bunyan" is not one of pino, winston/)]);
  });
});
