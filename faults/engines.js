/**
 * The queue engines that faults and tests run: real servers, each in a folder of its own, on 127.0.0.1. All have the same
 * methods, so that a fault can be run on each.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Whether a program is installed. */
export function isInstalled(program) {
  return spawnSync("which", [program]).status === 0;
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A process that listens on a port. It can be killed and started again with what it kept on disk. */
export class EngineProcess {
  #child;
  #command;
  #ready;
  output = "";

  /**
   * @param command the program and its arguments
   * @param ready resolves once the server takes commands; rejects while it does not
   * @param {object} env more environment
   */
  constructor(command, ready, env = {}) {
    this.#command = command;
    this.#ready = ready;
    this.env = env;
  }

  get pid() {
    return this.#child?.pid;
  }

  get running() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async up(deadline = 60_000) {
    const [program, ...args] = this.#command;
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...this.env } });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        this.output = (this.output + text).slice(-20_000);
      });
    }
    for (const end = performance.now() + deadline; ; await sleep(50)) {
      if (!this.running) throw new Error(`${program} ended: ${this.output}`);
      try {
        await this.#ready();
        return;
      } catch (error) {
        if (performance.now() > end) throw new Error(`${program} is not ready: ${error}; ${this.output}`);
      }
    }
  }

  /** Ends it, and resolves when it has. */
  async down(signal = "SIGTERM") {
    if (!this.running) return;
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    await exited;
  }
}

/** Resolves when something listens on the port. */
export async function listening(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}

/** Redis, with an append-only file unless the settings say otherwise. */
export class RedisEngine {
  static title = "Redis";
  folder = mkdtempSync(join(tmpdir(), "seclog-redis-"));
  #process;

  /** Why it cannot run here; `undefined` when it can. */
  static needs() {
    return isInstalled("redis-server") ? undefined : "redis-server is not installed";
  }

  /** @param {Record<string, string>} settings as in redis.conf */
  static async start(settings = {}) {
    const engine = new RedisEngine();
    engine.port = await freePort();
    const options = {
      ...{ port: `${engine.port}`, bind: "127.0.0.1", dir: engine.folder, save: "", appendonly: "yes" },
      ...settings,
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    engine.#process = new EngineProcess(["redis-server", ...args], async () => {
      if ((await engine.run("PING")).trim() !== "PONG") throw new Error("no PONG");
    });
    await engine.up();
    return engine;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Runs a command with redis-cli, which comes with the server. */
  async run(...args) {
    const child = spawn("redis-cli", ["-h", "127.0.0.1", "-p", `${this.port}`, ...args]);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        output += text;
      });
    }
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(output);
    return output;
  }

  async up() {
    await this.#process.up();
  }
  async kill() {
    await this.#process.down("SIGKILL");
  }
  async down() {
    await this.#process.down();
  }

  /** Removes everything, as a purge or the loss of its disk would. */
  async wipe() {
    await this.run("FLUSHALL");
  }

  /** How many messages wait, of the queue `seclog`. */
  async waiting() {
    let waiting = Number(await this.run("ZCARD", "{seclog}:later"));
    for (let shard = 0; shard < 16; shard++) waiting += Number(await this.run("XLEN", `{seclog}:events:${shard}`));
    return waiting;
  }

  /** Everything that a stranger who reaches the engine can see, as text. */
  async dump() {
    let text = "";
    for (let shard = 0; shard < 16; shard++) text += await this.run("XRANGE", `{seclog}:events:${shard}`, "-", "+");
    return text;
  }

  async end() {
    await this.#process.down("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Those that the faults run on, by the name of their handler. */
export const ENGINES = { redis: RedisEngine };

/** A TCP proxy on 127.0.0.1 in front of an engine, for partitions. */
export class Partition {
  #server = createServer((client) => this.#carry(client));
  #links = new Set();
  #target;
  #mode = "open";

  static async start(target) {
    const partition = new Partition();
    partition.#target = target;
    partition.#server.listen(0, "127.0.0.1");
    await once(partition.#server, "listening");
    return partition;
  }

  get port() {
    return this.#server.address().port;
  }

  #carry(client) {
    if (this.#mode === "cut") {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target, "127.0.0.1");
    const link = { client, server };
    this.#links.add(link);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ]) {
      from.on("data", (bytes) => {
        if (this.#mode === "open") to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.#links.delete(link);
      });
    }
  }

  /** Resets every connection, and every new one. */
  cut() {
    this.#mode = "cut";
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Swallows every byte, without an error at either end. What is lost that way never arrives: connections are reset when it heals. */
  swallow() {
    this.#mode = "swallow";
  }

  heal() {
    if (this.#mode === "swallow") this.cut();
    this.#mode = "open";
  }

  async end() {
    this.cut();
    this.#server.close();
  }
}
