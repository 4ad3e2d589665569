/** A real PgBouncer (Debian's package) in front of a test's PostgreSQL. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { steadyPort } from "./port.js";

/** Debian's path; root's PATH has that folder, a user's may not. */
const PROGRAM = "/usr/sbin/pgbouncer";

/** Whether it is installed. If not, the tests that need it are skipped, and the run says so. */
export const hasPgBouncer = existsSync(PROGRAM);
if (!hasPgBouncer) console.warn("pgbouncer is not installed: the tests of connections through a pooler are skipped");

/**
 * @typedef {object} PgBouncerOptions
 * @property {string} serverUrl the superuser's URL of the server
 * @property {"session" | "transaction" | "statement"} mode how long a client keeps a server connection
 * @property {number} [poolSize] server connections per user and database; 2 by default
 */

/** On 127.0.0.1. Users log in with SCRAM; it looks up their secrets in the server, as docs/deploy.md describes. */
export class PgBouncer {
  #folder = mkdtempSync(join(tmpdir(), "seclog-test-pgbouncer-"));
  #port = 0;
  #child;
  #ended;

  /**
   * @param {PgBouncerOptions} options
   * @returns {Promise<PgBouncer>}
   */
  static async start({ serverUrl, mode, poolSize = 2 }) {
    const pooler = new PgBouncer();
    const { port, username, password } = new URL(serverUrl);
    pooler.#port = await steadyPort();
    const file = (name) => join(pooler.#folder, name);
    writeFileSync(file("users.txt"), `"${username}" "${password}"\n`);
    writeFileSync(
      file("pgbouncer.ini"),
      `[databases]
* = host=127.0.0.1 port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${pooler.#port}
unix_socket_dir =
pool_mode = ${mode}
default_pool_size = ${poolSize}
auth_type = scram-sha-256
auth_file = ${file("users.txt")}
auth_user = ${username}
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
`,
    );
    // Another account reads them when we run as root.
    chmodSync(pooler.#folder, 0o755);
    for (const name of ["users.txt", "pgbouncer.ini"]) chmodSync(file(name), 0o644);
    await pooler.up();
    return pooler;
  }

  /** Starts it, also after {@link kill}. */
  async up() {
    // It refuses to run as root.
    const account = process.getuid?.() === 0 ? accountOf("nobody") : {};
    const child = spawn(PROGRAM, ["--quiet", join(this.#folder, "pgbouncer.ini")], {
      ...account,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let output = "";
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    this.#child = child;
    this.#ended = once(child, "close");
    while (!(await listens(this.#port))) {
      if (child.exitCode !== null) throw new Error(`pgbouncer did not start: ${output}`);
      await sleep(20);
    }
  }

  /** SIGKILL: every client loses its connection, whatever it is doing. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /**
   * The server's URL, through the pooler.
   *
   * @param {string} url
   * @returns {string}
   */
  through(url) {
    return Object.assign(new URL(url), { port: String(this.#port) }).href;
  }

  async end() {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose]() {
    await this.end();
  }
}

function accountOf(name) {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const [, , uid, gid] = (lines.find((line) => line.startsWith(`${name}:`)) ?? "").split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

async function listens(port) {
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
