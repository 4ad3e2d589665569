/** `seclog verify` and `verify-proof` as built, against a real PostgreSQL. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { encodeEvent } from "seclog";
import { formatCheckpoint, formatTlogProof, leafHash, type NoteSigner, signNote, TreeAppender } from "seclog/merkle";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch, exampleEvent } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { runHere } from "./support/here.ts";
import { newKey, ORIGIN, seal, sealerClient, storedNote } from "./support/naive-sealer.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import type { Environment, Result } from "./support/program.ts";

const key = newKey();
let database: TestDatabase;
let admin: pg.Client;
let sealer: pg.Client;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-verify-"));
  admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  sealer = await sealerClient(database.sealerUrl);
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(exampleBatch({ count: 300 }), AbortSignal.timeout(20_000));
  await seal(sealer, key);
  await handler.handle(exampleBatch({ firstSeq: 301, count: 5 }), AbortSignal.timeout(20_000));
  await handler.close();
});

afterAll(async () => {
  await sealer?.end();
  await admin?.end();
  await database?.[Symbol.asyncDispose]();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The program, which has only the reader's URL. */
function seclog(args: readonly string[], environment: Environment = {}): Promise<Result> {
  const env = { PATH: process.env["PATH"], SECLOG_READER_URL: database.readerUrl, COLUMNS: "200", ...environment };
  return runHere(args, env);
}

/** Runs the auditor's program, which has no database. */
function seclogVerify(args: readonly string[]): Promise<Result> {
  return new Promise((done) => {
    const program = join(root, "packages/verify/bin/seclog-verify.js");
    const env = { PATH: process.env["PATH"] };
    execFile(process.execPath, [program, ...args], { env, encoding: "utf8" }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const path = (name: string): string => join(folder, name);

describe("seclog verify", { timeout: 120_000 }, () => {
  it("reports an intact log in words and as JSON, and continues from the checkpoint that it saved", async () => {
    const saved = path("verified.txt");
    const { code, stdout, stderr } = await seclog(["verify", "--vkey", key.vkey, "--save", saved]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("Without --checkpoint") });
    expect(stdout).toContain(`${ORIGIN} is intact.`);
    expect(stdout).toMatch(/301 events of 2 sources, 301 leaves, sealed until 20\d\d-/);
    expect(stdout).toMatch(/5 events not sealed yet, the oldest stored 20\d\d-/);
    expect(readFileSync(saved, "utf8")).toBe(await storedNote(admin));

    await seal(sealer, key);
    const next = await seclog(["verify", "--vkey", key.vkey, "--from", saved, "--checkpoint", saved, "--json"]);
    expect(next.code).toBe(0);
    expect(JSON.parse(next.stdout)).toMatchObject({ intact: true, from: 301, size: 306, events: 5, unsealed: 0 });
  });

  it("names the event that was changed and exits with 1, also offline", async () => {
    const [exported, changed] = [path("export"), path("changed")];
    expect((await seclog(["verify", "--vkey", key.vkey, "--write-export", exported])).code).toBe(0);
    await admin.query(
      "BEGIN; SET LOCAL session_replication_role = replica; UPDATE security_event_log SET path = E'/\\u202e' WHERE seq = 17; COMMIT",
    );
    try {
      const live = await seclog(["verify", "--vkey", key.vkey, "--write-export", changed, "--save", path("never")]);
      expect(live.code).toBe(1);
      expect(live.stdout).toMatch(
        /changed +event 01936d2f-\S+ \(source …000000000001, number 17, 2026-11-22 19:43 UTC, authz_fail\) was changed/,
      );
      expect(live.stdout).toContain("is NOT what was sealed: 1 finding.");
      expect(existsSync(path("never"))).toBe(false);
      const offline = { SECLOG_READER_URL: undefined };
      expect((await seclog(["verify", "--vkey", key.vkey, "--export", changed], offline)).stdout).toBe(live.stdout);
      expect((await seclog(["verify", "--vkey", key.vkey, "--export", exported], offline)).code).toBe(0);
      const json = await seclog(["verify", "--vkey", key.vkey, "--export", changed, "--json"], offline);
      expect(JSON.parse(json.stdout)).toMatchObject({
        intact: false,
        findings_total: 1,
        findings: [
          { kind: "changed", leaf: expect.any(Number), seq: 17, event_id: expect.stringMatching(/^01936d2f-/) },
        ],
      });
    } finally {
      await admin.query(
        "BEGIN; SET LOCAL session_replication_role = replica; UPDATE security_event_log SET path = '/admin/orders' WHERE seq = 17; COMMIT",
      );
    }
  });

  it("finds with a checkpoint kept elsewhere that the database was rolled back", async () => {
    const kept = path("kept.txt");
    const text = formatCheckpoint({ origin: ORIGIN, size: 9_000, root: leafHash("x") });
    writeFileSync(kept, `${await storedNote(admin)}\n${signNote(text, [key])}`);
    const { code, stdout } = await seclog(["verify", "--vkey", key.vkey, "--checkpoint", kept]);
    expect(code).toBe(1);
    expect(stdout).toContain(
      "the database has 306 leaves, but a checkpoint kept elsewhere has 9,000: the tail was cut off",
    );
  });

  it("exits with 2 when only other options help, and with 3 without a verdict", async () => {
    const strange = path("strange.txt");
    const text = formatCheckpoint({ origin: ORIGIN, size: 5, root: leafHash("x") });
    writeFileSync(strange, signNote(text, [newKey()]));
    const usage: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /--vkey/],
      [["--vkey", key.vkey.slice(1)], /does not match its id/],
      [["--vkey", newKey("w.example", "cosignature").vkey], /belongs to a witness/],
      [["--vkey", key.vkey, "--vkey", newKey("other.example").vkey], /belong to two logs/],
      [["--vkey", key.vkey, "--vkey", key.vkey], /is named twice/],
      [["--vkey", key.vkey, "--from", "-", "--checkpoint", "-"], /standard input can be read once/],
      [["--vkey", key.vkey, "--json", "--save", "-"], /both print to standard output/],
      [["--vkey", key.vkey, "--checkpoint", strange], /checkpoint 1 of .* cannot be trusted: none of the keys named/],
      [["--vkey", key.vkey, "--from", path("gone")], /cannot be read/],
      [["--vkey", key.vkey, "--export", folder], /is not an export/],
      [["--vkey", key.vkey, "--write-export", folder], /is not empty/],
    ];
    for (const [args, says] of usage) {
      const { code, stderr } = await seclog(["verify", ...args]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(says) });
    }
    const down = await seclog(["verify", "--vkey", key.vkey], {
      SECLOG_READER_URL: "postgresql://reader:x@127.0.0.1:1/seclog",
    });
    expect({ code: down.code, stderr: down.stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/not verified: the database \(reader\) says.*\[SECLOG_DATABASE\]/),
    });
  });

  it("reports what was removed, when, by whom and why", async () => {
    const erase = (seq: number, why: string) =>
      admin.query(
        "SELECT seclog_erase(NULL, NULL, NULL, (SELECT array_agg(id) FROM security_event_log WHERE seq = $1 AND retention <> 'own'), NULL, NULL, $2, false)",
        [seq, why],
      );
    const name = new URL(database.adminUrl).username;
    await erase(5, "asked \u202e to");
    const { code, stdout } = await seclog(["verify", "--vkey", key.vkey]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        `Removal 2, erased 1 row of 1 source\\. 20\\d\\d-\\S+ \\S+ UTC, ${name}: asked \\S*202e\\S* to \\(its record is not sealed yet\\)`,
      ),
    );
    for (let seq = 6; seq < 28; seq++) await erase(seq, "asked to");
    await seal(sealer, key);
    const many = await seclog(["verify", "--vkey", key.vkey]);
    expect(many.stdout).toMatch(/Removal 21, erased 1 row of 1 source\. .*: asked to$/m);
    expect(many.stdout).toContain("and 3 more removals; --json lists them all");
    const json = await seclog(["verify", "--vkey", key.vkey, "--json"]);
    expect(JSON.parse(json.stdout).removals).toHaveLength(23);
  });

  it("reads as the reader, and fails as a role that may not read the log", async () => {
    const other = await seclog(["verify", "--vkey", key.vkey], { SECLOG_READER_URL: database.writerUrl });
    expect({ code: other.code, stderr: other.stderr }).toEqual({
      code: 3,
      stderr: expect.stringContaining("permission denied"),
    });
  });
});

describe("seclog verify-proof", { timeout: 120_000 }, () => {
  const prove = (signers: readonly NoteSigner[], change: (event: string) => string = (event) => event): string => {
    const [core = ""] = encodeEvent(exampleEvent(1)).split("\n");
    const stored = '{"created_at":"2026-11-22T19:43:22.123456Z","retention":"standard"}';
    const event = `${core}\n${"0".repeat(64)}\n${stored}`;
    const tree = new TreeAppender();
    tree.append(leafHash(event));
    const checkpoint = signNote(formatCheckpoint({ origin: ORIGIN, size: 1, root: tree.root() }), signers);
    const file = path(`${Math.random()}.tlog-proof`);
    writeFileSync(file, formatTlogProof({ extra: Buffer.from(change(event)), index: 0, proof: [], checkpoint }));
    return file;
  };

  it("prints the event of a valid proof, and that its personal part is left out", async () => {
    const witness = newKey("w.example", "cosignature");
    const file = prove([key, witness]);
    const { code, stdout } = await seclog(["verify-proof", "--vkey", key.vkey, "--witness", witness.vkey, file]);
    expect(code).toBe(0);
    expect(stdout).toContain("The proof holds.");
    expect(stdout).toContain(`This event is leaf 0 of ${ORIGIN}`);
    expect(stdout).toContain(", cosigned by w.example.");
    expect(stdout).toContain("The proof leaves out the personal part (who, address, path, data …)");
    expect(stdout).toMatch(/^event_type +authz_fail$/m);
    const json = await seclog(["verify-proof", file, "--vkey", key.vkey, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ holds: true, redacted: true, size: 1, event: { seq: 1 } });
  });

  it("exits with 1 and the reason when the proof does not hold, and with 2 when it cannot be read", async () => {
    const changed = await seclog([
      "verify-proof",
      prove([key], (event) => event.replace('"seq":1', '"seq":2')),
      "--vkey",
      key.vkey,
    ]);
    expect({ code: changed.code, stderr: changed.stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/proves nothing: the proof does not lead from the event.*\[SECLOG_PROOF\]/),
    });
    const witness = newKey("w.example", "cosignature");
    const alone = await seclog(["verify-proof", prove([key]), "--vkey", key.vkey, "--witness", witness.vkey]);
    expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining("the witness w.example has not signed") });
    expect((await seclog(["verify-proof", path("gone"), "--vkey", key.vkey])).code).toBe(2);
    expect((await seclog(["verify-proof", prove([key]), "--vkey", "x"])).code).toBe(2);
  });
});

describe("seclog-verify", { timeout: 120_000 }, () => {
  it("prints the same report of an export as seclog verify, in 80 columns", async () => {
    const [exported, saved] = [path("for-auditors"), path("auditor.txt")];
    expect((await seclog(["verify", "--vkey", key.vkey, "--write-export", exported])).code).toBe(0);
    const { code, stdout, stderr } = await seclogVerify(["export", exported, "--vkey", key.vkey, "--save", saved]);
    const same = await seclog(["verify", "--vkey", key.vkey, "--export", exported], { COLUMNS: undefined });
    expect({ code, stdout, stderr: stderr.replace(/\s+/g, " ") }).toEqual({
      code: 0,
      stdout: same.stdout,
      stderr: same.stderr.replace(/\s+/g, " "),
    });
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(readFileSync(saved, "utf8")).toBe(await storedNote(admin));
    const json = await seclogVerify(["export", exported, "--vkey", key.vkey, "--checkpoint", saved, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ intact: true, checkpoints_elsewhere: 1 });

    // Anyone who can write to the folder can change it, but then the events no longer produce the signed root.
    const events = readdirSync(exported).find((name) => name.startsWith("events-")) ?? "";
    writeFileSync(
      path(`for-auditors/${events}`),
      readFileSync(path(`for-auditors/${events}`), "utf8").replace("authz_fail", "authn_fail"),
    );
    const changed = await seclogVerify(["export", exported, "--vkey", key.vkey]);
    expect(changed.code).toBe(1);
    expect(changed.stdout).toContain("is NOT what was sealed: 1 finding.");
    rmSync(path(`for-auditors/${events}`));
    const broken = await seclogVerify(["export", exported, "--vkey", key.vkey]);
    expect(broken).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^seclog-verify: not verified: .* is missing/),
    });
  });

  it("exits with 2 and the next step for wrong usage", async () => {
    const usage: readonly (readonly [readonly string[], RegExp])[] = [
      [["tables"], /unknown command "tables": use export, proof or files/],
      [["export", folder], /name the log's public key with --vkey KEY/],
      [["export", "--vkey", key.vkey], /seclog-verify export <folder> --vkey KEY/],
      [["export", folder, folder, "--vkey", key.vkey], /expected one argument/],
      [["export", folder, "--vkey", key.vkey], /has no seclog-export\.json/],
      [["export", folder, "--vkey", key.vkey, "--witness", "x"], /Unknown option '--witness' \(/],
      [["proof", path("gone"), "--vkey", key.vkey], /cannot be read/],
    ];
    for (const [args, says] of usage) {
      const { code, stderr } = await seclogVerify(args);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(says) });
    }
    const help = await seclogVerify(["--help"]);
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("Exit codes:")]);
    expect(help.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect((await seclogVerify(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("checks a proof as seclog verify-proof does", async () => {
    const file = path("event.tlog-proof");
    const [row] = (await admin.query<{ id: string }>("SELECT id FROM security_event_log WHERE seq = 17")).rows;
    expect((await seclog(["prove", row?.id ?? "", "--out", file])).code).toBe(0);
    for (const more of [[], ["--json"]]) {
      const { code, stdout } = await seclogVerify(["proof", file, "--vkey", key.vkey, ...more]);
      const same = await seclog(["verify-proof", file, "--vkey", key.vkey, ...more], { COLUMNS: undefined });
      expect({ code, stdout }).toEqual({ code: 0, stdout: same.stdout });
    }
    writeFileSync(file, readFileSync(file, "utf8").replace(/^index \d+$/m, "index 3"));
    const forged = await seclogVerify(["proof", file, "--vkey", key.vkey]);
    expect(forged).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("proves nothing: the proof does not lead"),
    });
    const witness = newKey("w.example", "cosignature").vkey;
    const unseen = await seclogVerify(["proof", file, "--vkey", key.vkey, "--witness", witness]);
    expect(unseen.code).toBe(1);
  });
});
