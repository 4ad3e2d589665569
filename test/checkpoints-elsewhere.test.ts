/** Publishes checkpoints of a real database to a real witness, kills the witness at any moment, and serves the log. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  consistencyProof,
  formatPrivateKey,
  type NoteSigner,
  openNote,
  parsePrivateKey,
  treeRoot,
  verifyConsistency,
} from "../packages/seclog/src/merkle/index.ts";
import { storedContext } from "../packages/server/src/integrity/publish/publisher.ts";
import { Publishing } from "../packages/server/src/integrity/publish/publishing.ts";
import { witnessPublisher } from "../packages/server/src/integrity/publish/witness.ts";
import { storedCheckpoint } from "../packages/server/src/integrity/stored-tree.ts";
import { originHash } from "../packages/server/src/integrity/witness/state.ts";
import { type Answer, send } from "./support/http-client.ts";
import { steadyPort } from "./support/port.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { LONG } from "./support/program.ts";
import { addEvents, addQuarantined, addSource, MemoryTree, sealAll, seed } from "./support/sealed-tree.ts";

const program = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));

let folder: string;
let count = 0;
const running: ChildProcess[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-elsewhere-"));
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Started {
  readonly child: ChildProcess;
  /** The first line it printed. */
  readonly line: string;
  readonly stderr: () => string;
}

function launch(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env["PATH"], ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  return child;
}

/** Starts a server and waits for the line that prints its address. */
async function startProgram(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Started> {
  const child = launch(args, environment);
  let stdout = "";
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await new Promise<void>((listening, failed) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes("\n")) listening();
    });
    child.on("close", (code) => failed(new Error(`it ended with ${code}: ${stderr}`)));
  });
  return { child, line: stdout.trim(), stderr: () => stderr };
}

async function runProgram(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = launch(args, environment);
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const closed = once(child, "close");
  child.kill(signal);
  return ((await closed) as [number | null])[0];
}

interface Key {
  readonly signer: NoteSigner;
  readonly path: string;
}

function keyFile(name: string, kind: "ed25519" | "cosignature"): Key {
  const text = formatPrivateKey(name, seed(), kind);
  const path = join(folder, `key-${count++}`);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return { signer: parsePrivateKey(text), path };
}

describe("seclog witness", () => {
  const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
  const key = (): Key => keyFile("w.example/1", "cosignature");
  const argumentsOf = (path: string, state: string, listen = "127.0.0.1:0"): string[] => [
    ...["witness", "--key", path, "--log", log.vkey, "--state", join(folder, state), "--listen", listen],
  ];

  it("prints its public key and its address, stops cleanly, and keeps its state private", LONG, async () => {
    const { signer, path } = key();
    const first = await startProgram(argumentsOf(path, "order"));
    expect(first.line).toMatch(/^w\.example\/1\+[0-9a-f]{8}\+\S+ http:\/\/127\.0\.0\.1:\d+$/);
    expect(first.line.split(" ")[0]).toBe(signer.vkey);
    expect(await runProgram(argumentsOf(path, "order"))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`is in use by process ${first.child.pid}: stop it first`),
    });
    expect(await end(first.child, "SIGTERM")).toBe(0);
    // Killed, it leaves its lock behind, which must not block the next process.
    const second = await startProgram([...argumentsOf(path, "order"), "--json"]);
    expect(JSON.parse(second.line)).toEqual({
      vkey: signer.vkey,
      listening: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    });
    await end(second.child, "SIGKILL");
    const third = await startProgram(argumentsOf(path, "order"));
    expect(await end(third.child, "SIGINT")).toBe(0);
  });

  it("refuses keys of the wrong kind", LONG, async () => {
    const { path } = key();
    const logKey = keyFile("log.example/shop", "ed25519");
    const witness = key();
    const state = join(folder, "refused");
    const refuse = async (args: readonly string[], why: string): Promise<void> =>
      expect(await runProgram(["witness", "--state", state, ...args])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(why),
      });
    await refuse(["--key", logKey.path, "--log", log.vkey], "is a log's key");
    await refuse(["--key", path, "--log", witness.signer.vkey], "not a log's key");
    await refuse(["--key", path, "--log", "nonsense"], "is not a vkey");
    await refuse(["--key", path, "--log", log.vkey, "--listen", "8080"], "is not HOST:PORT");
    chmodSync(path, 0o640);
    await refuse(["--key", path, "--log", log.vkey], "SECLOG_KEY");
  });

  it("never signs two inconsistent checkpoints, even when killed at any moment", LONG, async () => {
    const { signer, path } = key();
    const port = await steadyPort();
    const signed: { readonly tree: MemoryTree; readonly size: number }[] = [];
    const bodyOf = async (tree: MemoryTree, old: number, size: number): Promise<string> => {
      const proof = await consistencyProof(old, size, tree.first(size).tiles);
      const lines = proof.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("");
      return `old ${old}\n${lines}\n${tree.checkpoint(log, size).note}`;
    };
    let base = new MemoryTree(0);
    let kills = 0;
    for (let round = 0; round < 8; round++) {
      // Built in advance, to keep the witness busy.
      const forks = await Promise.all(
        ["a", "b", "c"].map(async (salt) => {
          const tree = base.first(base.size).grow(40, `${round}${salt}`);
          const steps = Array.from({ length: 40 }, (_, i) => bodyOf(tree, base.size + i, base.size + i + 1));
          return { tree, bodies: await Promise.all(steps) };
        }),
      );
      const { child } = await startProgram(argumentsOf(path, "killed", `127.0.0.1:${port}`));
      const closed = once(child, "close");
      const before = signed.length;
      const most = 1 + Math.floor(Math.random() * 12);
      const racing = forks.map(async ({ tree, bodies }) => {
        let next = bodies.shift();
        for (let size = base.size + 1; next !== undefined; ) {
          const answer = await send(port, "POST", "/add-checkpoint", { body: next }).catch(() => undefined);
          if (answer?.status === 200) {
            openNote(`${tree.checkpoint(log, size).note.split("\n\n")[0]}\n\n${answer.body}`, [signer]);
            signed.push({ tree, size: size++ });
            next = bodies.shift();
            // Its requests and those of the other forks continue meanwhile.
            if (signed.length >= before + most && !child.killed) kills += child.kill("SIGKILL") ? 1 : 0;
          } else if (answer?.status === 409 && Number(answer.body) < tree.size) {
            // Another fork was faster: this one tries to continue from there, without a valid proof.
            size = Number(answer.body) + 1;
            next = await bodyOf(tree, size - 1, size);
          } else {
            expect(answer === undefined || answer.status === 422, `${answer?.status} ${answer?.body}`).toBe(true);
            break;
          }
        }
      });
      await Promise.all(racing);
      child.kill("SIGKILL");
      await closed;
      // The next round starts from the witness's own last checkpoint, whichever fork that is.
      const again = await startProgram(argumentsOf(path, "killed", `127.0.0.1:${port}`));
      const shown = await send(port, "GET", `/${originHash(log.name)}/checkpoint`);
      await end(again.child, "SIGKILL");
      if (shown.status === 404) continue;
      const [, size = "", root = ""] = openNote(shown.body, [signer, log]).text.split("\n");
      const winner = forks.find(({ tree }) => Buffer.from(tree.root(Number(size))).toString("base64") === root);
      expect(winner, `round ${round}: it shows a tree that does not exist`).toBeDefined();
      base = (winner as (typeof forks)[0]).tree.first(Number(size));
    }
    expect(kills).toBeGreaterThan(4);
    expect(signed.length).toBeGreaterThan(16);
    const ordered = [...signed].sort((one, two) => one.size - two.size);
    for (const [i, before] of ordered.entries()) {
      const after = ordered[i + 1];
      if (after === undefined) break;
      const proof = await consistencyProof(before.size, after.size, after.tree.first(after.size).tiles);
      const roots = [before.tree.root(before.size), after.tree.root(after.size)] as const;
      expect(verifyConsistency(before.size, roots[0], after.size, roots[1], proof)).toBe(true);
    }
  });
});

describe("a log in PostgreSQL", () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let source: string;
  const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = new pg.Pool({ connectionString: database.sealerUrl, max: 3 });
    source = await addSource(database);
  });
  afterAll(async () => {
    await pool.end();
    await database[Symbol.asyncDispose]();
  });

  it(
    "has its checkpoints cosigned by a witness, through failures of it, and raises the alarm after a rollback",
    LONG,
    async () => {
      const { signer, path } = keyFile("w.example/1", "cosignature");
      const port = await steadyPort();
      const start = (): Promise<Started> =>
        startProgram([
          ...["witness", "--key", path, "--log", log.vkey, "--state", join(folder, "state")],
          ...["--listen", `127.0.0.1:${port}`],
        ]);
      const errors: string[] = [];
      const publishing = new Publishing([witnessPublisher(signer, new URL(`http://127.0.0.1:${port}/`))], {
        context: storedContext(pool),
        everyMs: 20,
        onFailure: (_, error) => errors.push(`${error.code} ${error.message}`),
      });
      const seal = async (events: number): Promise<number> => {
        await addEvents(database, source, events);
        const checkpoint = await sealAll(database, log);
        publishing.offer(checkpoint);
        return checkpoint.size;
      };
      const cosigned = async (size: number): Promise<void> => {
        for (let tries = 0; tries < 400 && publishing.status()[0]?.size !== size; tries++) await sleep(50);
        const stored = await storedCheckpoint(pool, size);
        expect(openNote(stored?.note ?? "", [log, signer]).verified, errors.join("\n")).toHaveLength(2);
      };

      // The witness is not running yet.
      const first = await seal(300);
      for (let tries = 0; tries < 100 && errors.length === 0; tries++) await sleep(50);
      expect(errors[0]).toMatch(/^SECLOG_PUBLISH witness w\.example\/1: fetch failed: .*ECONNREFUSED/);
      const witness = await start();
      await cosigned(first);
      await cosigned(await seal(1));
      await end(witness.child, "SIGKILL");
      const size = await seal(600);
      const again = await start();
      await cosigned(size);
      await publishing.flush(5_000);

      // A restarted sealer does not know the witness's size.
      errors.length = 0;
      const tree = new MemoryTree(size - 1, "rolled back");
      const context = { ...storedContext(pool), tiles: tree.tiles, newestSize: async () => tree.size };
      const publisher = witnessPublisher(signer, new URL(`http://127.0.0.1:${port}`));
      const publish = (subject: MemoryTree): Promise<void> =>
        publisher.publish(subject.checkpoint(log), context, AbortSignal.timeout(10_000));
      await expect(publish(tree)).rejects.toMatchObject({
        code: "SECLOG_ROLLBACK",
        message: expect.stringContaining(`with ${size} leaves, and the database has ${size - 1}: it was rolled back`),
      });
      // A tree that grew from there is a fork.
      await expect(publish(tree.grow(20))).rejects.toMatchObject({
        code: "SECLOG_ROLLBACK",
        message: expect.stringContaining("does not accept"),
      });
      expect(again.stderr()).toContain("without a valid proof that it continues the cosigned one of");
    },
  );

  it("is served to verifiers as tlog-tiles specifies", LONG, async () => {
    await addQuarantined(database, source);
    await addEvents(database, source, 3, 2);
    const { size, root, note } = await sealAll(database, log);
    const server = await startProgram(["tiles", "--listen", "127.0.0.1:0", "--json"], {
      SECLOG_READER_URL: database.readerUrl,
    });
    const { listening } = JSON.parse(server.line) as { listening: string };
    const port = Number(new URL(listening).port);
    const get = (path: string, headers = {}): Promise<Answer> => send(port, "GET", path, { headers });
    const checkpoint = await get("/checkpoint");
    expect(checkpoint).toMatchObject({ status: 200, body: note });
    expect(checkpoint.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "public, max-age=1",
    });
    const read = async (names: readonly { level: number; index: number; width: number }[]): Promise<Uint8Array[]> =>
      await Promise.all(
        names.map(async ({ level, index, width }) => {
          const path = `tile/${level}/${String(index).padStart(3, "0")}${width === 256 ? "" : `.p/${width}`}`;
          const response = await fetch(`${listening}/${path}`);
          expect(response.status, path).toBe(200);
          expect(response.headers.get("content-type")).toBe("application/octet-stream");
          expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
          return new Uint8Array(await response.arrayBuffer());
        }),
      );
    // The root that a client computes from the served tiles is the signed one.
    expect(await treeRoot(size, read)).toEqual(root);
    expect((await get("/tile/entries/000")).status).toBe(404);
    expect((await get("/checkpoint", { host: "evil.example" })).status).toBe(421);
    expect(await send(port, "HEAD", "/checkpoint")).toMatchObject({ status: 200, body: "" });
    expect((await send(port, "POST", "/checkpoint")).status).toBe(405);

    const reader = new URL(database.readerUrl).username;
    await database.query(`ALTER ROLE ${reader} NOLOGIN`);
    await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [reader]);
    const refused = await get("/checkpoint");
    expect(refused).toMatchObject({ status: 503, body: "the database is unavailable\n" });
    await database.query(`ALTER ROLE ${reader} LOGIN`);
    expect((await get("/checkpoint")).status).toBe(200);
    expect(await end(server.child, "SIGTERM")).toBe(0);
  });
});
