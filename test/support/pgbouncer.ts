/** A real PgBouncer (Debian's package) before a test's PostgreSQL. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { steadyPort } from "./port.ts";

/** Where Debian puts it; root's PATH has that folder, a user's may not. */
const PROGRAM = "/usr/sbin/pgbouncer";

/** Whether it is there. Where not, the tests that need it are skipped, and the run says so. */
export const hasPgBouncer: boolean = existsSync(PROGRAM);
if (!hasPgBouncer) console.warn("pgbouncer is not installed: the tests of connections through a pooler are skipped");

/** Who has a connection of the server's, and for how long: a session, a transaction, or one statement. */
export type PoolMode = "session" | "transaction" | "statement";

/** How {@link startPgBouncer} starts it. */
export interface PgBouncerOptions {
  /** The superuser's URL of the server. */
  readonly serverUrl: string;
  readonly mode: PoolMode;
  /** Connections to the server for each user and database. @default 2 */
  readonly poolSize?: number;
}

/** A running PgBouncer. */
export interface PgBouncer extends AsyncDisposable {
  readonly port: number;
  /** A URL of the server, through it. */
  through(url: string): string;
}

/** Starts it on 127.0.0.1. Users log in with SCRAM; it looks their secrets up in the server, as docs/deploy.md has it. */
export async function startPgBouncer({ serverUrl, mode, poolSize = 2 }: PgBouncerOptions): Promise<PgBouncer> {
  const folder = mkdtempSync(join(tmpdir(), "seclog-test-pgbouncer-"));
  const server = new URL(serverUrl);
  const port = await steadyPort();
  const file = (name: string): string => join(folder, name);
  writeFileSync(file("users.txt"), `"${server.username}" "${server.password}"\n`);
  writeFileSync(
    file("pgbouncer.ini"),
    `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
pool_mode = ${mode}
default_pool_size = ${poolSize}
auth_type = scram-sha-256
auth_file = ${file("users.txt")}
auth_user = ${server.username}
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
`,
  );
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? userOf("nobody") : {};
  if (process.getuid?.() === 0) {
    chmodSync(folder, 0o755);
    for (const name of ["users.txt", "pgbouncer.ini"]) chmodSync(file(name), 0o644);
  }
  const child = spawn(PROGRAM, ["--quiet", file("pgbouncer.ini")], { ...account, stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ended = once(child, "close");
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`pgbouncer did not start: ${output}`);
    await sleep(20);
  }
  return {
    port,
    through: (url) => Object.assign(new URL(url), { port: String(port) }).href,
    async [Symbol.asyncDispose]() {
      // SIGTERM would wait for the clients.
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function userOf(name: string): { readonly uid: number; readonly gid: number } {
  const line =
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .find((text) => text.startsWith(`${name}:`)) ?? "";
  const [, , uid, gid] = line.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
