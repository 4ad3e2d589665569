/** The process of a queue engine: a real server in a folder of its own, on 127.0.0.1. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
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

/** Starts an engine. One that does not start leaves neither a process nor a folder. */
export async function upOrEnd(engine) {
  try {
    await engine.up();
  } catch (error) {
    await engine.end();
    throw error;
  }
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
