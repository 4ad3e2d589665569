/**
 * `--queue`: the same shop, whose events go through a queue and two workers. The engine is the machine's own
 * redis-server or nats-server, on a free port of 127.0.0.1, with its files in the data directory.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, connect, createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DemoError, writePrivately } from "./demo-place.ts";

/** The engines that the demo can start. */
export const DEMO_QUEUES = ["redis", "nats"] as const;
export type DemoQueueName = (typeof DEMO_QUEUES)[number];

/** A running engine with two workers. */
export interface DemoQueue {
  /** What the shop needs to know: files, never secrets. */
  readonly environment: { readonly [name: string]: string };
  /** Rejects when the engine or a worker ends by itself. */
  readonly failed: Promise<never>;
  /** Ends the workers, which finish what they are storing, and then the engine. */
  stop(): Promise<void>;
}

/** How long the engine may take to listen, and a process to end, in milliseconds. */
const START_MS = 20_000;
const STOP_MS = 10_000;

interface Engine {
  readonly program: string;
  readonly install: string;
  /** The arguments, and the configuration for its standard input. The password is in neither a list of processes nor a file. */
  command(port: number, folder: string, password: string): { readonly args: readonly string[]; readonly input: string };
  url(port: number, password: string): string;
}

const ENGINES: { readonly [N in DemoQueueName]: Engine } = {
  redis: {
    program: "redis-server",
    install: "apt install redis-server on Debian and Ubuntu, brew install redis on macOS",
    command: (port, folder, password) => ({
      args: ["-"],
      input: `port ${port}\nbind 127.0.0.1\ndir "${folder}"\nappendonly yes\nsave ""\nrequirepass ${password}\n`,
    }),
    url: (port, password) => `redis://:${password}@127.0.0.1:${port}`,
  },
  nats: {
    program: "nats-server",
    install: "apt install nats-server on Debian and Ubuntu, brew install nats-server on macOS",
    command: (port, folder, password) => ({
      args: [
        "-c",
        writePrivately(
          join(folder, "nats.conf"),
          `listen: "127.0.0.1:${port}"\n log_file: ${JSON.stringify(join(folder, "nats.log"))}\n jetstream { store_dir: ${JSON.stringify(folder)} }\nauthorization { user: demo, password: ${JSON.stringify(password)} }\n`,
        ),
      ],
      input: "",
    }),
    url: (port, password) => `nats://demo:${password}@127.0.0.1:${port}`,
  },
};

/**
 * Starts the engine and two workers.
 *
 * @param data the demo's data directory
 * @throws DemoError when the engine is not installed, with how to install it, or does not start
 */
export async function startQueue(name: DemoQueueName, data: string): Promise<DemoQueue> {
  const engine = ENGINES[name];
  if (!isInstalled(engine.program)) {
    throw new DemoError(`--queue ${name} starts ${engine.program}, which is not installed: ${engine.install}.`);
  }
  const folder = join(data, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString("base64url");
  const port = await freePort();
  const url = writePrivately(join(data, "queue-url"), `${engine.url(port, password)}\n`);
  const key = join(data, "queue-key");
  // Kept: the engine may still have envelopes of the last run.
  if (!existsSync(key)) writePrivately(key, `${randomBytes(32).toString("base64")}\n`);
  const { args, input } = engine.command(port, folder, password);
  const server = start(engine.program, args, {});
  server.stdin?.end(input);
  const environment = { SECLOG_QUEUE_URL_FILE: url, SECLOG_QUEUE_KEY_FILE: key };
  const processes: ChildProcess[] = [server];
  const stop = async (): Promise<void> => {
    // The workers first: they give back what they hold.
    for (const child of processes.slice(1)) child.kill("SIGTERM");
    await Promise.all(processes.slice(1).map(ended));
    server.kill("SIGTERM");
    await ended(server);
  };
  try {
    await listening(port, server);
    const program = join(
      dirname(createRequire(import.meta.url).resolve("@seclog/server/package.json")),
      "bin/seclog.js",
    );
    const relay = { SECLOG_RELAY_URL_FILE: join(data, "relay-url") };
    for (let i = 0; i < 2; i++)
      processes.push(start(process.execPath, [program, "work"], { ...environment, ...relay }));
  } catch (error) {
    await stop();
    throw error;
  }
  const failed = Promise.race(processes.map((child) => once(child, "exit"))).then(() => {
    throw new DemoError(`The queue (${engine.program}) or one of its workers ended by itself: see its output above.`);
  });
  failed.catch(() => {});
  return { environment, failed, stop };
}

/** In a process group of its own, so that Ctrl-C reaches only the demo. */
function start(
  command: string,
  args: readonly string[],
  environment: { readonly [name: string]: string },
): ChildProcess {
  const { SECLOG_ADMIN_URL: _, ...inherited } = process.env;
  return spawn(command, args, {
    detached: true,
    env: { ...inherited, ...environment },
    stdio: ["pipe", "ignore", "inherit"],
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const insist = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await once(child, "exit");
  clearTimeout(insist);
}

async function listening(port: number, server: ChildProcess): Promise<void> {
  for (const deadline = performance.now() + START_MS; ; await sleep(50)) {
    if (server.exitCode !== null)
      throw new DemoError(`The queue ended with code ${server.exitCode} before it was ready.`);
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch {
      if (performance.now() > deadline) throw new DemoError("The queue did not start in time.");
    } finally {
      socket.destroy();
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}
