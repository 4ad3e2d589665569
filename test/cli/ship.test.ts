/** The built program: how it ships what a dead application left. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, eventually, LONG, programOf } from "../support/program.ts";
import { sourcesIn } from "../support/sources.ts";

let database: TestDatabase;
let folder: string;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-cli-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

describe("seclog ship", LONG, () => {
  /** An application that dies with its events on disk, shipped or not. */
  async function leaveBehind(spool: string, count: number, secondHandler = ""): Promise<void> {
    const code = `
      import { createSecurityLog } from "seclog";
      import { fileHandler } from "seclog/file";
      import { postgresHandler } from "seclog/postgres";
      const log = createSecurityLog({ service: "left-behind", spool: { directory: ${JSON.stringify(spool)} },
        handlers: [postgresHandler({ url: "postgresql://app:none@127.0.0.1:1/seclog" }), ${secondHandler}] });
      let last;
      for (let n = 0; n < ${count}; n++) last = log.recordSecurityEvent("authz_fail", null, { userid: "u" + n });
      await last.durable;
      process.kill(process.pid, "SIGKILL");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      cwd: fileURLToPath(new URL("../../packages/server", import.meta.url)),
      stdio: ["ignore", "ignore", "inherit"],
    });
    expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
  }

  it("stores what a killed process left, once, and leaves nothing", async () => {
    const spool = join(folder, "spool");
    await leaveBehind(spool, 2_500);
    const doctor = await seclog(["doctor", "--spool", spool]);
    expect(doctor.stdout).toContain("1 source left behind by processes that have ended");
    const shipped = await seclog(["ship", "--spool", spool, "--json"]);
    expect(shipped.stderr).toBe("");
    expect(shipped.code).toBe(0);
    expect(JSON.parse(shipped.stdout)).toMatchObject({ sources: 1, finished: 1, quarantined: 0, complete: true });
    const [row] = await database.query(
      "SELECT count(*)::int AS events, count(DISTINCT seq)::int AS seqs, max(seq)::int AS last, count(*) FILTER (WHERE event_type = 'authz_fail')::int AS recorded FROM security_event_log WHERE service = 'left-behind'",
    );
    expect(row).toMatchObject({ recorded: 2_500 });
    expect([row?.["seqs"], row?.["last"]]).toEqual([row?.["events"], row?.["events"]]);
    expect(sourcesIn(spool)).toEqual([]);
    const again = await seclog(["ship", "--spool", spool]);
    expect([again.code, again.stdout]).toEqual([0, "Nothing to ship.\n"]);
  });

  it("keeps the events if the database is unreachable, and stops at Ctrl-C", async () => {
    const spool = join(folder, "spool");
    await leaveBehind(spool, 3);
    const child = startProgram(["ship", "--spool", spool], {
      SECLOG_DATABASE_URL: "postgresql://app:none@127.0.0.1:1/seclog",
    });
    const stderr = collect(child.stderr);
    await eventually(() => stderr().includes("retrying, Ctrl-C gives up"), "a failure that passes");
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([130, null]);
    expect((await seclog(["ship", "--spool", spool])).stdout).toMatch(/^\d+ events shipped from 1 source left behind/);
  });

  it("names the other handlers that still wait for the events, and counts nothing twice", async () => {
    const spool = join(folder, "two-handlers");
    await leaveBehind(spool, 3, 'fileHandler({ path: "/dev/null/seclog.ndjson" })');
    const waits = "Kept for the application's other handlers: file. The application ships to them when it runs.\n";
    const first = await seclog(["ship", "--spool", spool]);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/^\d+ events shipped from 1 source left behind/);
    expect(first.stdout).toContain(waits);
    expect(await seclog(["ship", "--spool", spool])).toEqual({ code: 0, stdout: waits, stderr: "" });
  });
});
