/** pino loads `seclog/pino` into its own thread, where the package opens a log: real pino, real PostgreSQL. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const run = promisify(execFile);

let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-pino-"));
  database = await createTestDatabase();
});

afterEach(async () => {
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function application(environment: NodeJS.ProcessEnv): Promise<{ readonly stderr: string }> {
  const { VITEST: _, ...inherited } = process.env;
  const env = { ...inherited, SPOOL: join(folder, "spool"), ...environment };
  return run(process.execPath, [join(root, "test/support/pino-app.js")], { env, timeout: 60_000 });
}

const stored = () =>
  database.query<{ event_type: string; level: string; service: string; actor_id: string; path: string; data: object }>(
    `SELECT event_type, level, service, actor_id, path, data FROM security_event_log
     WHERE category <> 'log' ORDER BY seq`,
  );

describe("pino's transport", () => {
  it.each([
    ["when the transport ends", { END: "end" }],
    ["when the process exits at once", { END: "exit" }],
    ["beside another target", { END: "end", TARGETS: "2" }],
  ])("stores the records of the logger named security %s", async (_, environment) => {
    const plain = join(folder, "plain.log");
    const { stderr } = await application({ ...environment, SECLOG_DATABASE_URL: database.writerUrl, PLAIN: plain });
    expect(stderr).toBe("");
    const rows = await stored();
    expect(rows.map(({ actor_id }) => actor_id)).toEqual(Array.from({ length: 20 }, (_, n) => `u${n + 1}`));
    expect(rows[0]).toEqual({
      event_type: "authz_fail",
      level: "warning",
      service: "shop",
      actor_id: "u1",
      path: "/orders/1",
      data: { bridge: "pino" },
    });
    if ("TARGETS" in environment) expect(readFileSync(plain, "utf8").split("\n")).toHaveLength(22);
  });

  it("refuses to start without a database, and says what is missing", async () => {
    const { SECLOG_DATABASE_URL: _, ...others } = process.env;
    const failed = await application({ ...others, SECLOG_DATABASE_URL: undefined }).then(
      () => "it started",
      ({ stderr }: { readonly stderr: string }) => stderr,
    );
    expect(failed).toMatch(/SECLOG_CONFIG|postgresHandler: url/);
    expect(failed).toContain("SECLOG_DATABASE_URL");
  });
});
