import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineProcess, freePort, isInstalled, upOrEnd } from "./process.js";

/** Adds a message that is given in hexadecimal: redis-cli's arguments are text. */
const HEX = `
local bytes = string.gsub(ARGV[1], '..', function (pair) return string.char(tonumber(pair, 16)) end)
return redis.call('XADD', KEYS[1], '*', 'm', bytes)`;

const REPLAY = `
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-')) do
  redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
end`;

/** Redis, with an append-only file unless the settings say otherwise. */
export class RedisEngine {
  static title = "Redis";
  folder = mkdtempSync(join(tmpdir(), "seclog-redis-"));
  port = 0;
  #process;

  /** Why it cannot run here; `undefined` when it can. */
  static needs() {
    return isInstalled("redis-server") ? undefined : "redis-server is not installed";
  }

  /** @param {Record<string, string>} settings as in redis.conf */
  static async start(settings = {}, engine = new RedisEngine()) {
    engine.port = await freePort();
    const options = {
      ...{ port: `${engine.port}`, bind: "127.0.0.1", dir: engine.folder, save: "", appendonly: "yes" },
      ...settings,
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    engine.#process = new EngineProcess(["redis-server", ...args], async () => {
      if ((await engine.run("PING")).trim() !== "PONG") throw new Error("no PONG");
    });
    await upOrEnd(engine);
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

  /** Adds a message of a stranger, whose bytes may be any. */
  async inject(bytes) {
    await this.run("EVAL", HEX, "1", "{seclog}:events:3", bytes.toString("hex"));
  }

  /** Adds every message that is there once more, the newest first. */
  async replay() {
    for (let shard = 0; shard < 16; shard++) await this.run("EVAL", REPLAY, "1", `{seclog}:events:${shard}`);
  }

  /** Refuses writes, as a Redis does whose memory is used up. */
  async fill() {
    await this.run("CONFIG", "SET", "maxmemory", "1mb");
  }
  async relieve() {
    await this.run("CONFIG", "SET", "maxmemory", "0");
  }

  async end() {
    await this.#process.down("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
