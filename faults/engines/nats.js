import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { EngineProcess, freePort, isInstalled, upOrEnd } from "./process.js";

/** Runs something with a connection to a server. */
async function asked(url, run, options = {}) {
  const connection = await connect({ servers: url, reconnect: false, timeout: 5_000, ...options });
  try {
    return await run(await jetstreamManager(connection, { timeout: 5_000 }), connection);
  } finally {
    await connection.close();
  }
}

/** A server of NATS with JetStream. */
class NatsServer {
  /** @param {Record<string, unknown>} settings as in nats-server's configuration */
  constructor(folder, port, settings = {}) {
    this.folder = folder;
    this.port = port;
    const file = join(folder, "nats.json");
    const jetstream = { store_dir: join(folder, "jetstream"), max_mem: "256M", max_file: "2G" };
    writeFileSync(file, JSON.stringify({ host: "127.0.0.1", port, jetstream, ...settings }));
    this.process = new EngineProcess(["nats-server", "-c", file], () => this.#ready(settings));
  }

  get url() {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** One that wants a password takes commands once it refuses a connection without. */
  async #ready(settings) {
    if (settings.authorization !== undefined || settings.tls !== undefined) {
      const { output } = this.process;
      if (!output.includes("Server is ready")) throw new Error("not ready");
      return;
    }
    await asked(this.url, (manager) => manager.getAccountInfo());
  }

  loseDisk() {
    rmSync(join(this.folder, "jetstream"), { recursive: true, force: true });
  }
}

/** NATS JetStream: one server. */
export class NatsEngine {
  static title = "NATS";
  folder = mkdtempSync(join(tmpdir(), "seclog-nats-"));
  port = 0;
  #server;
  #wipes = 0;

  /** Why it cannot run here; `undefined` when it can. */
  static needs() {
    return isInstalled("nats-server") ? undefined : "nats-server is not installed";
  }

  /** @param {Record<string, unknown>} settings as in nats-server's configuration */
  static async start(settings = {}) {
    const engine = new NatsEngine();
    engine.port = await freePort();
    engine.#server = new NatsServer(engine.folder, engine.port, settings);
    await upOrEnd(engine);
    return engine;
  }

  get url() {
    return this.#server.url;
  }
  get pid() {
    return this.#server.process.pid;
  }
  async up() {
    await this.#server.process.up();
  }
  async kill() {
    await this.#server.process.down("SIGKILL");
  }
  async down() {
    await this.#server.process.down();
  }

  /** Removes everything: a purge of the running server at first, then its disk, in turn. */
  async wipe() {
    if (this.#wipes++ % 2 === 0) {
      await asked(this.url, async (manager) => {
        for await (const { config } of manager.streams.list()) await manager.streams.purge(config.name);
      });
      return;
    }
    await this.kill();
    this.#server.loseDisk();
    await this.up();
  }

  async waiting() {
    return await waiting(this.url);
  }

  async dump() {
    let text = "";
    await asked(this.url, async (manager) => {
      for (const { subject, data } of await stored(manager)) {
        text += `${subject} ${Buffer.from(data).toString("latin1")}\n`;
      }
    });
    return text;
  }

  /** Adds a message of a stranger, once there is a stream. */
  async inject(bytes) {
    await asked(this.url, (_, connection) =>
      jetstream(connection).publish("seclog.events.3.stranger", bytes, { retries: 100 }),
    );
  }

  async replay() {
    await asked(this.url, async (manager, connection) => {
      const messages = await stored(manager);
      for (const { subject, data } of messages.reverse()) await jetstream(connection).publish(subject, data);
    });
  }

  async fill() {
    await asked(this.url, (manager) => manager.streams.update("seclog_events", { max_msgs: 1 }));
  }
  async relieve() {
    await asked(this.url, (manager) => manager.streams.update("seclog_events", { max_msgs: -1 }));
  }

  async end() {
    await this.#server.process.down("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** NATS JetStream: a cluster of three. */
export class NatsCluster {
  static title = "NATS, three nodes";
  static needs = NatsEngine.needs;
  folder = mkdtempSync(join(tmpdir(), "seclog-nats-"));
  servers = [];

  static async start() {
    const cluster = new NatsCluster();
    const ports = [];
    for (let i = 0; i < 6; i++) ports.push(await freePort());
    const routes = ports.slice(3).map((port) => `nats-route://127.0.0.1:${port}`);
    for (let i = 0; i < 3; i++) {
      const folder = mkdtempSync(join(cluster.folder, "node-"));
      const clustered = { name: "seclog", listen: `127.0.0.1:${ports[3 + i]}`, routes };
      cluster.servers.push(new NatsServer(folder, ports[i], { server_name: `n${i}`, cluster: clustered }));
    }
    await Promise.all(cluster.servers.map((server) => server.process.up()));
    return cluster;
  }

  /** The addresses of all servers, as handlers and workers take them. */
  get url() {
    return `nats://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  /** Resolves with the server that leads the queue's stream, once all three have all of it. */
  async leader() {
    for (const end = performance.now() + 60_000; ; await sleep(200)) {
      const cluster = await this.#cluster().catch((error) => ({ error }));
      const { leader, replicas = [] } = cluster;
      if (leader && replicas.length === 2 && replicas.every(({ current, offline }) => current && !offline)) {
        return this.servers[Number(leader.slice(1))];
      }
      if (performance.now() > end) throw new Error(`the cluster is not whole: ${JSON.stringify(cluster)}`);
    }
  }

  async #cluster() {
    return await asked(this.#hosts, async (manager) => (await manager.streams.info("seclog_events")).cluster ?? {});
  }

  get #hosts() {
    return this.servers.filter(({ process }) => process.running).map(({ url }) => url);
  }
  async waiting() {
    return await waiting(this.#hosts);
  }
  async end() {
    await Promise.all(this.servers.map((server) => server.process.down("SIGKILL")));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How many messages wait, of the queue `seclog`; 0 before there is one. */
async function waiting(url) {
  return await asked(url, async (manager) => {
    for await (const { config, state } of manager.streams.list()) {
      if (config.name === "seclog_events") return state.messages;
    }
    return 0;
  });
}

/** The messages of the queue `seclog`, the oldest first. */
async function stored(manager) {
  const { state } = await manager.streams.info("seclog_events");
  const messages = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage("seclog_events", { seq });
    if (message !== null) messages.push(message);
  }
  return messages;
}
