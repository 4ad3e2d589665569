import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";
import { EngineProcess, freePort, isInstalled } from "./process.js";

/** The server's own scripts. Debian's wrappers change the user, and so the folders. */
const SCRIPTS = "/usr/lib/rabbitmq/bin";

/** The queues of the queue `seclog` that hold messages on their way. */
const QUEUES = [
  ...Array.from({ length: 8 }, (_, shard) => `seclog.events.${shard}`),
  ...[1_000, 5_000, 10_000].map((ms) => `seclog.later.${ms}`),
];

/** RabbitMQ: one node, with a name server (epmd) of its own, so that it meets no other node of this machine. */
export class RabbitmqEngine {
  static title = "RabbitMQ";
  folder = mkdtempSync(join(tmpdir(), "seclog-rabbitmq-"));
  #process;
  #names;

  /** Why it cannot run here; `undefined` when it can. */
  static needs() {
    if (!existsSync(join(SCRIPTS, "rabbitmq-server"))) return `rabbitmq-server is not installed in ${SCRIPTS}`;
    return isInstalled("epmd") ? undefined : "epmd is not installed";
  }

  /** @param {Record<string, string>} settings as in rabbitmq.conf */
  static async start(settings = {}) {
    const engine = new RabbitmqEngine();
    engine.port = await freePort();
    const [namePort, nodePort] = [await freePort(), await freePort()];
    const conf = { "listeners.tcp.local": `127.0.0.1:${engine.port}`, "log.console": "false", ...settings };
    writeFileSync(
      join(engine.folder, "rabbitmq.conf"),
      Object.entries(conf)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(""),
    );
    writeFileSync(join(engine.folder, "enabled_plugins"), "[].\n");
    const path = (name) => join(engine.folder, name);
    engine.environment = {
      HOME: engine.folder,
      ERL_EPMD_PORT: `${namePort}`,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: `seclog-${engine.port}@localhost`,
      RABBITMQ_DIST_PORT: `${nodePort}`,
      RABBITMQ_CONF_ENV_FILE: path("none"),
      RABBITMQ_CONFIG_FILE: path("rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: path("enabled_plugins"),
      RABBITMQ_MNESIA_BASE: path("data"),
      RABBITMQ_LOG_BASE: path("log"),
      RABBITMQ_PID_FILE: path("pid"),
      // The server replaces its script then, so that its process is the child, and without a shell on standard input.
      RABBITMQ_ALLOW_INPUT: "true",
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
    };
    engine.#names = new EngineProcess(
      ["epmd", "-port", `${namePort}`, "-address", "127.0.0.1"],
      async () => {},
      engine.environment,
    );
    await engine.#names.up();
    engine.#process = new EngineProcess(
      [join(SCRIPTS, "rabbitmq-server")],
      async () => await (await connect(engine.url)).close(),
      engine.environment,
    );
    await engine.up();
    return engine;
  }

  get url() {
    return `amqp://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#process.pid;
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
  /** A program of the server. */
  async run(program, ...args) {
    const child = spawn(join(SCRIPTS, program), ["--quiet", ...args], {
      env: { ...process.env, ...this.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
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

  async #connected(use) {
    const connection = await connect(this.url);
    connection.on("error", () => {});
    try {
      return await use(connection);
    } finally {
      await connection.close().catch(() => {});
    }
  }

  /** Loses its disk. (RabbitMQ 3.10 may find no leader for a quorum queue that is declared again while it is deleted.) */
  async wipe() {
    await this.kill();
    rmSync(join(this.folder, "data"), { recursive: true });
    await this.up();
  }

  /** How many messages wait, of the queue `seclog`. What workers hold shows only in the server's own, slow program. */
  async waiting() {
    const ready = await this.#connected(async (connection) => {
      let sum = 0;
      for (const queue of QUEUES) sum += await readyIn(await connection.createChannel(), queue);
      return sum;
    });
    if (ready > 0) return ready;
    const rows = JSON.parse(await this.run("rabbitmqctl", "list_queues", "name", "messages", "--formatter", "json"));
    return rows.filter(({ name }) => QUEUES.includes(name)).reduce((sum, { messages }) => sum + messages, 0);
  }

  /** Everything that a stranger who reaches the engine can see, as text: of what no worker holds. */
  async dump() {
    let text = "";
    await this.#look((queue, messages) => {
      for (const { content, properties } of messages) {
        text += `${queue} ${content.toString("latin1")} ${JSON.stringify(properties)}\n`;
      }
    });
    return text;
  }

  /** Adds a message of a stranger, once there is a queue for it. */
  async inject(bytes) {
    await this.#connected(async (connection) => {
      for (let routed = false; !routed; await sleep(20)) {
        const channel = await connection.createConfirmChannel();
        let returned = false;
        channel.on("error", () => {});
        channel.on("return", () => {
          returned = true;
        });
        channel.publish("seclog.events", "3", bytes, { persistent: true, mandatory: true });
        // Without the exchange, the server closes the channel.
        routed = await channel.waitForConfirms().then(
          () => !returned,
          () => false,
        );
      }
    });
  }

  /** Adds every message that no worker holds once more, the newest first. */
  async replay() {
    await this.#look(async (queue, messages, channel) => {
      for (const { content } of messages.reverse()) channel.sendToQueue(queue, content, { persistent: true });
      await channel.waitForConfirms();
    });
  }

  /** Shows what is ready in each queue of events, and gives it back. */
  async #look(show) {
    await this.#connected(async (connection) => {
      for (const queue of QUEUES) {
        const channel = await connection.createConfirmChannel();
        const messageCount = await readyIn(channel, queue);
        if (messageCount === 0) continue;
        const messages = [];
        await channel.consume(queue, (message) => messages.push(message));
        for (const end = performance.now() + 2_000; messages.length < messageCount && performance.now() < end; ) {
          await sleep(20);
        }
        await show(queue, messages, channel);
        await channel.close();
      }
    });
  }

  /** Takes no more messages, as without memory. */
  async fill() {
    await this.run("rabbitmqctl", "set_vm_memory_high_watermark", "absolute", "1MB");
  }
  async relieve() {
    await this.run("rabbitmqctl", "set_vm_memory_high_watermark", "0.4");
  }

  async end() {
    await this.#process.down("SIGKILL");
    await this.#names.down("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How many messages no worker holds; 0 if there is no such queue. */
async function readyIn(channel, queue) {
  channel.on("error", () => {});
  try {
    return (await channel.checkQueue(queue)).messageCount;
  } catch (error) {
    if (error.code !== 404) throw error;
    return 0;
  }
}
