/** Keys, sealing, proofs and verification through the program, on a real log. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leafHash, openNote, parseCheckpoint, parseTlogProof, parseVkey, verifyTlogProof } from "seclog/merkle";
import { postgresHandler } from "seclog/postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exampleBatch, exampleEvent } from "../packages/seclog/src/testing/example-events.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type Environment, LONG, type Result, runProgram, startProgram } from "./support/program.ts";

let database: TestDatabase;
let folder: string;
let stored = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-integrity-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

const at = (name: string): string => join(folder, name);
const seclog = (args: readonly string[], environment: Environment = {}): Promise<Result> =>
  runProgram(database, args, environment);

async function store(count: number): Promise<void> {
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(
    exampleBatch({ firstSeq: stored + 1, count, acknowledged: stored }),
    AbortSignal.timeout(30_000),
  );
  await handler.close();
  stored += count;
}

async function makeKey(name: string, origin = "log.example/shop"): Promise<string> {
  const { code, stdout } = await seclog(["keys", "generate", "--out", at(name), "--name", origin]);
  expect(code).toBe(0);
  return stdout.split("\n")[0] ?? "";
}

describe("seclog keys", LONG, () => {
  it("generates a key that only its owner can read, and shows its public half", async () => {
    const vkey = await makeKey("a.key");
    expect(parseVkey(vkey).name).toBe("log.example/shop");
    expect(statSync(at("a.key")).mode & 0o777).toBe(0o600);
    expect((await seclog(["keys", "show", at("a.key")])).stdout).toBe(`${vkey}\n`);
    expect((await seclog(["keys", "show", "--key", at("a.key")])).stdout).toBe(`${vkey}\n`);
    const twice = await seclog(["keys", "show", at("a.key"), "--key", at("a.key")]);
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining("named twice")]);
    expect(JSON.parse((await seclog(["keys", "show", "--json", at("a.key")])).stdout)).toEqual({
      vkey,
      name: "log.example/shop",
    });
  });

  it("never overwrites a key, and refuses one that others can read and text that is not a key", async () => {
    const before = readFileSync(at("a.key"), "utf8");
    const again = await seclog(["keys", "generate", "--out", at("a.key"), "--name", "x"]);
    expect(again).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("never overwritten") });
    expect(readFileSync(at("a.key"), "utf8")).toBe(before);
    writeFileSync(at("open.key"), before);
    chmodSync(at("open.key"), 0o644);
    const open = await seclog(["seal", "--once", "--key", at("open.key")]);
    expect(open).toMatchObject({ code: 2, stderr: expect.stringContaining("chmod 600") });
    writeFileSync(at("none.key"), "PRIVATE+KEY+secret", { mode: 0o600 });
    const none = await seclog(["seal", "--once", "--key", at("none.key")]);
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("SECLOG_KEY") });
    expect(none.stderr).not.toContain("secret");
    expect(await seclog(["keys", "generate", "--out", at("b.key"), "--name", "has a space"])).toMatchObject({
      code: 2,
    });
  });
});

describe("seclog seal", LONG, () => {
  it("seals what is stored, with a key from a file, a command or the environment", async () => {
    await store(10);
    const first = await seclog(["seal", "--once", "--key", at("a.key")]);
    expect(first).toMatchObject({ code: 0, stdout: "Sealed 11 leaves; the tree has 11.\n" });
    const vkey = parseVkey((await seclog(["keys", "show", at("a.key")])).stdout.trim());
    expect(parseCheckpoint(openNote(readFileSync(at("a.key.sealed"), "utf8"), [vkey]).text).size).toBe(11);
    await store(1);
    const text = readFileSync(at("a.key"), "utf8").trim();
    expect(await seclog(["seal", "--once"], { SECLOG_SEAL_KEY: text })).toMatchObject({ code: 0 });
    await store(1);
    expect(await seclog(["seal", "--once"], { SECLOG_SEAL_KEY_FILE: at("a.key") })).toMatchObject({ code: 0 });
    await store(1);
    const command = await seclog(["seal", "--once", "--json", "--key-command", `cat ${at("a.key")}`]);
    expect(command.code).toBe(0);
    expect(JSON.parse(command.stdout)).toMatchObject({ size: 14, leaves: 1, missing: 0, oldest_unsealed_seconds: 0 });
    expect((await seclog(["seal", "--once", "--key", at("a.key")])).stdout).toBe("Nothing to seal.\n");
  });

  it.each([
    [["--once"], {}, 2, "npx @seclog/server keys generate"],
    [["--once", "--key", "x", "--key-command", "y"], {}, 2, "--key and --key-command are both set"],
    [["--once", "--key-command", "exit 3"], {}, 2, "exited with 3"],
    [["--once", "--interval", "0"], {}, 2, '--interval "0"'],
    [["--once", "--key", "/nowhere/key"], {}, 2, "cannot be read"],
    [["--once"], { SECLOG_SEALER_URL: undefined }, 2, "SECLOG_SEALER_URL is not set"],
  ] as const)("says what is wrong with %j", async (args, environment, code, said) => {
    const result = await seclog(["seal", ...args], environment);
    expect(result.stderr).toContain(said);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  it("reports its progress in stats", async () => {
    await store(2);
    const { stdout } = await seclog(["stats", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ seal: { leaves: 14, unsealed: 2 } });
    expect(JSON.parse(stdout).seal.oldest_unsealed_seconds).toBeGreaterThan(0);
    expect((await seclog(["stats"])).stdout).toMatch(
      /14 events sealed, last at .* UTC; 2 waiting, the oldest for \d+\.\d s\./,
    );
    await seclog(["seal", "--once", "--key", at("a.key")]);
    expect((await seclog(["stats"])).stdout).toContain("16 events sealed, last at");
  });
});

describe("seclog prove", LONG, () => {
  const { id } = exampleEvent(3);

  it("writes a proof that holds with only the public key, with or without the personal part", async () => {
    const vkey = parseVkey((await seclog(["keys", "show", at("a.key")])).stdout.trim());
    expect(await seclog(["prove", id, "--out", at("event.proof")])).toMatchObject({ code: 0, stdout: "" });
    const whole = parseTlogProof(readFileSync(at("event.proof"), "utf8"));
    const redacted = parseTlogProof((await seclog(["prove", id, "--redact"])).stdout);
    const { stdout, stderr } = await seclog(["prove", id, "--out", at("json.proof"), "--json"]);
    expect([readFileSync(at("json.proof"), "utf8"), stderr]).toEqual([readFileSync(at("event.proof"), "utf8"), ""]);
    expect(JSON.parse(stdout)).toEqual({
      ...{ id, index: whole.index, size: expect.any(Number), redacted: false, file: at("json.proof") },
      proof: readFileSync(at("event.proof"), "utf8"),
    });
    const printed = JSON.parse((await seclog(["prove", id, "--redact", "--json"])).stdout);
    expect(printed).toMatchObject({ redacted: true, file: null });
    expect(parseTlogProof(printed.proof)).toEqual(redacted);
    const lines = Buffer.from(whole.extra ?? [])
      .toString()
      .split("\n");
    expect(lines).toHaveLength(5);
    expect(JSON.parse(lines[2] ?? "")).toMatchObject({ retention: "standard" });
    expect(JSON.parse(lines[4] ?? "")).toMatchObject({ actor_id: "42", data: { seq: 3 } });
    expect(Buffer.from(redacted.extra ?? []).toString()).toBe(lines.slice(0, 3).join("\n"));
    const leaf = leafHash(lines.slice(0, 3).join("\n"));
    expect(verifyTlogProof(leaf, whole, [vkey]).checkpoint.size).toBe(16);
    expect(verifyTlogProof(leaf, redacted, [vkey]).checkpoint.size).toBe(16);
  });

  it("refuses what it cannot prove, and says why", async () => {
    expect(await seclog(["prove", "nonsense"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is not an event's id"),
    });
    const unknown = id.replace(/.{12}$/, "ffffffffffff");
    expect(await seclog(["prove", unknown])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("does not exist: correct the id"),
    });
    await database.query(
      `SET session_replication_role = replica; UPDATE security_event_log SET data = '{"seq":  5}' WHERE seq = 5; RESET session_replication_role`,
    );
    const personal = await seclog(["prove", exampleEvent(5).id]);
    expect(personal).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--redact") });
    expect(await seclog(["prove", exampleEvent(5).id, "--redact"])).toMatchObject({ code: 0 });
    await database.query(
      `SET session_replication_role = replica; UPDATE security_event_log SET data = '{"resource":"orders","seq":5}' WHERE seq = 5; RESET session_replication_role`,
    );
    await store(1);
    const unsealed = await seclog(["prove", exampleEvent(stored).id]);
    expect(unsealed).toMatchObject({ code: 1, stderr: expect.stringContaining("not sealed yet") });
    await database.query(
      `SET session_replication_role = replica; UPDATE security_event_log SET method = 'PUT' WHERE seq = 4 AND event_type = 'authz_fail'; RESET session_replication_role`,
    );
    const changed = await seclog(["prove", exampleEvent(4).id]);
    expect(changed).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("either it was changed"),
    });
    await database.query(
      `SET session_replication_role = replica; UPDATE security_event_log SET method = 'GET' WHERE seq = 4 AND event_type = 'authz_fail'; RESET session_replication_role`,
    );
  });
});

describe("the whole flow", LONG, () => {
  it("seals, publishes checkpoints to a file, a repository and a witness, verifies against them, and proves one event", async () => {
    const made = await seclog(["keys", "generate", "--witness", "--out", at("w.key"), "--name", "w.example/1"]);
    const witnessKey = made.stdout.split("\n")[0] ?? "";
    const logKey = (await seclog(["keys", "show", at("a.key")])).stdout.trim();
    const witness = startProgram(database, [
      ...["witness", "--key", at("w.key"), "--log", logKey, "--state", at("witness"), "--listen", "127.0.0.1:0"],
    ]);
    try {
      const [chunk] = (await once(witness.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
      const address = chunk.toString().trim();
      expect(address.startsWith(`${witnessKey} http://127.0.0.1:`)).toBe(true);
      execFileSync("git", ["init", "--quiet", at("repository")]);
      await store(3);
      const places = [
        "--checkpoint-file",
        at("kept"),
        "--git",
        at("repository"),
        "--witness",
        address,
        "--publish-every",
        "0",
      ];
      const sealed = await seclog(["seal", "--once", "--key", at("a.key"), ...places]);
      expect(sealed.stderr).not.toContain("not published");
      expect(sealed.code).toBe(0);
      await store(2);
      expect((await seclog(["seal", "--once", "--key", at("a.key"), ...places])).code).toBe(0);
    } finally {
      witness.kill("SIGTERM");
    }
    expect(execFileSync("git", ["-C", at("repository"), "log", "--format=%s"], { encoding: "utf8" }).trim()).toBe(
      `log.example/shop ${stored + 1}\nlog.example/shop ${stored - 1}`,
    );
    const checked = await seclog(["verify", "--vkey", logKey, "--checkpoint", at("kept"), "--json"]);
    expect(checked.code).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({ intact: true, size: stored + 1, checkpoints_elsewhere: 2 });
    const { id } = exampleEvent(stored);
    expect((await seclog(["prove", id, "--out", at("last.proof")])).code).toBe(0);
    const offline = { SECLOG_READER_URL: undefined, SECLOG_SEALER_URL: undefined };
    const options = ["--vkey", logKey, "--witness", witnessKey];
    const proven = await seclog(["verify-proof", at("last.proof"), ...options, "--json"], offline);
    expect(proven.code).toBe(0);
    expect(JSON.parse(proven.stdout)).toMatchObject({ holds: true, redacted: false, event: { id, actor_id: "42" } });
  });
});

describe("seclog keys rotate", LONG, () => {
  it("seals with the new key from the newest checkpoint on, which both keys sign, and refuses the old key", async () => {
    await seclog(["seal", "--once", "--key", at("a.key")]);
    const wrong = await makeKey("other.key");
    expect(wrong).not.toBe("");
    expect(await seclog(["keys", "rotate", "--key", at("other.key"), "--out", at("c.key")])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("not signed by"),
    });
    const rotated = await seclog(["keys", "rotate", "--key", at("a.key"), "--out", at("b.key"), "--json"]);
    expect(rotated.stderr).toBe("");
    const { vkey, retired, size } = JSON.parse(rotated.stdout) as { vkey: string; retired: string; size: number };
    expect(size).toBe(stored + 1);
    await store(1);
    expect(await seclog(["seal", "--once", "--key", at("a.key")])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(vkey),
    });
    expect(await seclog(["seal", "--once", "--key", at("b.key")])).toMatchObject({ code: 0 });
    const notes = await database.query<{ lines: string }>(
      "SELECT string_agg(name || ' ' || key_id, ' ' ORDER BY key_id) AS lines FROM security_event_signature GROUP BY size ORDER BY size DESC LIMIT 2",
    );
    const ids = [parseVkey(vkey).keyId, parseVkey(retired).keyId];
    expect(notes[0]?.lines).toBe(`log.example/shop ${ids[0]}`);
    for (const keyId of ids) expect(notes[1]?.lines).toContain(String(keyId));
  });
});
