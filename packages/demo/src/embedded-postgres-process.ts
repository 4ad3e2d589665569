/** The process of an embedded PostgreSQL: its port, its start, and its end with ours. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { readFile, rename, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunningPostgres } from "./embedded-postgres-lock.ts";
import {
  type Account,
  CHILD_ENVIRONMENT,
  cannotRun,
  EmbeddedPostgresError,
  lastWords,
  seenBy,
} from "./embedded-postgres-runtime.ts";

/** How the server is started. */
export interface ServerOptions {
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
}

/** A running server. */
export interface Server {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
  readonly exited: Promise<void>;
}

/** A server that was just killed leaves shared memory until its last backend notices: keep trying for this long. */
const START_DEADLINE_MS = 60_000;
const START_PAUSE_MS = 250;

/** Starts the server and resolves when it accepts connections. */
export async function launch(
  directory: string,
  pgdata: string,
  postgres: string,
  account: Account | undefined,
  options: ServerOptions,
): Promise<Server> {
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    const port = options.port || (await freePort());
    if (options.port) await checkPort(port);
    await removeStalePid(pgdata);
    const started = await attemptLaunch(directory, pgdata, postgres, account, port, options);
    if (typeof started !== "string") return started;
    const passing =
      started.includes("shared memory block") || (!options.port && started.includes("Address already in use"));
    if (!passing || performance.now() > deadline) {
      throw new EmbeddedPostgresError(
        `PostgreSQL did not start on port ${port}: ${lastWords(started)} (log: ${join(directory, "postgres.log")})`,
      );
    }
    await sleep(START_PAUSE_MS);
  }
}

/** The running server, or what it printed before it ended. */
async function attemptLaunch(
  directory: string,
  pgdata: string,
  postgres: string,
  account: Account | undefined,
  port: number,
  options: ServerOptions,
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

/** Reads the eighth line of `postmaster.pid`, as `pg_ctl` does; it also shows recovery after a crash. */
async function isReady(pgdata: string, pid: number): Promise<boolean> {
  const lines = (await readFile(join(pgdata, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  return lines[0] === String(pid) && lines[7]?.trim() === "ready";
}

/**
 * Stops the server when this process ends without doing so, however it ends. The shell's `read` returns when the last
 * writing end of the pipe is closed, and only we hold one.
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
  // Once the server is gone, its process id may belong to another process.
  void exited.then(() => watcher.kill("SIGKILL"));
}

const STOP_DEADLINE_MS = 30_000;

/** A fast shutdown, then an immediate one if that takes too long. */
export async function stopServer(server: Server): Promise<void> {
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
 * PostgreSQL takes the process id in a left-behind `postmaster.pid` for a rival when any process of its account now has
 * it, which in a container is likely.
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
