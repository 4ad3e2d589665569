/** The built program, against a real PostgreSQL: `seclog export`. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/files.js";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { eventually, LONG, ndjson, programOf, resultOf } from "../support/program.ts";
import { insert, SOURCE_C, seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
let folder: string;
let folders = 0;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-export-"));
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

interface Manifest {
  readonly finished_at: string | null;
  readonly filter: string;
  readonly rows: number;
  readonly checkpoint: string | null;
  readonly parts: readonly {
    readonly file: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** Without the event of the export, whose storing takes most of the time. */
const QUIETLY = { SECLOG_DATABASE_URL: undefined };
const NOTICE = "SECLOG_DATABASE_URL is not set: this export is not recorded in the log.\n";

const exported = (...args: readonly string[]) => seclog(["export", "--unrecorded", ...args], QUIETLY);

const newFolder = (): string => join(folder, `export-${folders++}`);

function manifestOf(out: string): Manifest {
  return JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")) as Manifest;
}

/** The text of all files, after a check that they are what the manifest says. */
function textOf(out: string): string {
  const { parts } = manifestOf(out);
  expect(readdirSync(out).sort()).toEqual([...parts.map(({ file }) => file), "manifest.json"].sort());
  return parts
    .map(({ file, bytes, sha256 }) => {
      const content = readFileSync(join(out, file));
      expect([content.length, createHash("sha256").update(content).digest("hex")]).toEqual([bytes, sha256]);
      expect(statSync(join(out, file)).mode & 0o777).toBe(0o600);
      return (file.endsWith(".gz") ? gunzipSync(content) : content).toString();
    })
    .join("");
}

async function inDatabase(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

describe("seclog export", LONG, () => {
  it("writes the same lines as query, whatever the filter, and whatever a writer has stored", async () => {
    await inDatabase(async (client) => {
      await insert(client, { source: SOURCE_C, seq: 1, at: "0044-03-15 12:00:00+00", path: "odd\ttab\\N\\\n\u0007" });
      await insert(client, { source: SOURCE_C, seq: 2, at: "2022-01-01 00:00:00+00", data: '{"a":1,"a":2}' });
      await insert(client, {
        source: SOURCE_C,
        seq: 3,
        at: "2022-01-01 00:00:00.5+00",
        data: '{"t":"x\\ny","n":[1,null]}',
      });
    });
    const filters: readonly (readonly string[])[] = [
      ["--until", "2023-01-01"],
      ["--type", "authz_*,malicious_csrf", "--level", "error"],
      ["--actor", "alice", "--ip", "203.0.113.0/24"],
      ["--status", "4xx,500-599", "--method", "GET,POST"],
      ["--path", "/admin/*_sure", "--category", "test", "--outcome", "failure"],
      ["--text", 'wrong "word"', "--service", "none"],
      ["--target", "8", "--host", "shop.example", "--route", "/x"],
      ["type:authz_fail -actor:alice since:2020-01-01 until:2021-01-01"],
      ["type:many or (level>=error path:/admin)"],
    ];
    const until = new Date(Date.now() + 1_000).toISOString();
    const counts: number[] = [];
    for (const filter of filters) {
      const all = filter.includes("--until") ? filter : [...filter, "--until", until];
      const asked = await seclog([
        "query",
        ...all,
        "--since",
        "0001-01-01",
        "--ndjson",
        "--limit",
        "all",
        "--order",
        "oldest",
      ]);
      const out = newFolder();
      const { code, stderr } = await exported(...all, "--since", "0001-01-01", "--out", out);
      expect([code, stderr]).toEqual([0, NOTICE]);
      expect(textOf(out).split("\n")).toEqual(asked.stdout.split("\n"));
      counts.push(manifestOf(out).rows);
    }
    // Most of them have found something.
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(5);
    expect(counts[0]).toBeGreaterThan(12_000);
    const out = newFolder();
    await exported("--out", out, "--type", "authz_fail");
    expect(
      ndjson(textOf(out))
        .filter(({ odd }) => odd !== undefined)
        .map(({ seq, source_id }) => [source_id, seq]),
    ).toContainEqual([SOURCE_C, 2]);
  });

  it.each(["csv", "line", "owasp", "syslog", "cef", "leef", "ecs", "otlp", "ocsf", "ocsf-1.9"])(
    "writes %s, one line for each event",
    async (format) => {
      const out = newFolder();
      const { code, stderr } = await exported("--format", format, "--out", out, "--until", "2023-01-01", "--gzip");
      expect([code, stderr]).toEqual([0, NOTICE]);
      const lines = textOf(out)
        .trimEnd()
        .split(format === "csv" ? "\r\n" : "\n");
      expect(lines).toHaveLength(manifestOf(out).rows + (format === "csv" ? 1 : 0));
      if (["owasp", "ecs", "otlp", "ocsf", "ocsf-1.9"].includes(format)) for (const line of lines) JSON.parse(line);
    },
  );

  it("begins a new file at a size, and for each day", async () => {
    const bySize = newFolder();
    await exported("--out", bySize, "--type", "many", "--split", "500kB");
    const { parts, rows } = manifestOf(bySize);
    expect(rows).toBe(12_000);
    expect(parts.length).toBeGreaterThan(5);
    expect(Math.max(...parts.map(({ bytes }) => bytes))).toBeLessThan(1_000_000);
    textOf(bySize);
    const byDay = newFolder();
    await exported("--out", byDay, "--since", "2020-01-01", "--until", "2021-12-31", "--split", "day");
    expect(manifestOf(byDay).parts.map(({ file }) => file)).toEqual([
      "events-00001-2020-02-02.ndjson",
      "events-00002-2021-05-05.ndjson",
    ]);
    textOf(byDay);
  });

  it("continues after kill -9 with what it was asked for, and has every event once", async () => {
    const out = newFolder();
    const args = ["export", "--out", out, "--type", "many", "--split", "100kB", "--gzip"];
    const killed = startProgram(args);
    await eventually(() => existsSync(join(out, "manifest.json")) && manifestOf(out).parts.length > 3, "some files");
    killed.kill("SIGKILL");
    await once(killed, "close");
    const before = manifestOf(out);
    expect(before.finished_at).toBeNull();
    for (const [more, problem] of [
      [["--type", "x"], "leave out --type"],
      [["type:x"], "leave out a query"],
    ] as const) {
      const { code, stderr } = await exported("--out", out, "--resume", ...more);
      expect([code, stderr]).toEqual([2, expect.stringContaining(problem)]);
    }
    const { code, stdout } = await exported("--out", out, "--resume");
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^12,000 events in \d+ files \(/)]);
    const after = manifestOf(out);
    expect(after.parts.slice(0, before.parts.length)).toEqual(before.parts);
    const seqs = ndjson(textOf(out)).map(({ seq }) => seq as number);
    expect(seqs).toEqual(Array.from({ length: 12_000 }, (_, index) => index + 1));
    expect(await exported("--out", out, "--resume")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is complete"),
    });
  });

  it("is itself an event, at its start and with its result", async () => {
    const out = newFolder();
    await seclog(["export", "--out", out, "--type", "many", "--format", "csv"]);
    const { stdout } = await seclog(["query", "--type", "log_export", "--ndjson", "--order", "newest", "--limit", "2"]);
    const sha256 = createHash("sha256")
      .update(readFileSync(join(out, "manifest.json")))
      .digest("hex");
    const filter = expect.stringContaining("event_type many");
    expect(ndjson(stdout).map(({ data }) => data)).toEqual([
      { format: "csv", filter, reason: "finished", rows: 12_000, sha256 },
      { format: "csv", filter, reason: "started" },
    ]);
    const verifier = join(root, "packages/verify/bin/seclog-verify.js");
    const verify = (...args: string[]) =>
      spawnSync(process.execPath, [verifier, "files", out, ...args], { encoding: "utf8" });
    expect(verify("--sha256", sha256)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^The files are those of the manifest\.\n12,000 events/),
    });
    expect(verify("--sha256", "0".repeat(64), "--json")).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('"intact":false'),
    });
    expect(spawnSync(process.execPath, [verifier, "files", folder], { encoding: "utf8" })).toMatchObject({ status: 2 });
  });

  it("refuses to export what the log cannot record, unless that is wanted", async () => {
    const out = newFolder();
    const without = { SECLOG_DATABASE_URL: undefined };
    const refused = await seclog(["export", "--out", out, "--type", "many"], without);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("use --unrecorded")]);
    expect(existsSync(out)).toBe(false);
    const wrong = { SECLOG_DATABASE_URL: database.writerUrl.replace(/:\d+\//, ":1/") };
    expect(await seclog(["export", "--out", out, "--type", "many"], wrong)).toMatchObject({ code: 3 });
    expect(existsSync(join(out, "manifest.json"))).toBe(false);
    const { code, stderr } = await seclog(["export", "--out", newFolder(), "--unrecorded", "--type", "x"], without);
    expect([code, stderr]).toEqual([0, expect.stringContaining("not recorded")]);
  });

  it("writes to standard output, and refuses a folder that is in use", async () => {
    const { stdout } = await exported("--out", "-", "--type", "many", "--format", "csv");
    expect(stdout.split("\r\n")).toHaveLength(12_002);
    const out = newFolder();
    await exported("--out", out, "--type", "x");
    expect(manifestOf(out)).toMatchObject({ rows: 0, parts: [], checkpoint: null });
    for (const [args, problem] of [
      [["--out", out], "has an export: continue it with --resume"],
      [["--out", folder], "is not empty"],
      [["--out", newFolder(), "--split", "5"], '--split "5" is neither a size'],
      [["--out", newFolder(), "--resume"], "--resume finds no export"],
      [["--out", "-", "--gzip"], "pipe it through gzip"],
    ] as const) {
      const { code, stderr } = await exported(...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(problem)]);
    }
  });

  it("stops at Ctrl-C and leaves a manifest to continue", async () => {
    const out = newFolder();
    const child = startProgram(["export", "--out", out, "--type", "many", "--split", "50kB"]);
    await eventually(() => existsSync(join(out, "manifest.json")) && manifestOf(out).parts.length > 1, "a file");
    child.kill("SIGINT");
    const { code } = await resultOf(child);
    expect([0, 130]).toContain(code);
    if (code === 130) expect(await exported("--out", out, "--resume")).toMatchObject({ code: 0 });
    expect(manifestOf(out).rows).toBe(12_000);
  });
});
