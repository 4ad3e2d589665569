import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { administered, clusterId, KafkaEngine, KafkaNode, settled, waitingIn } from "./kafka.js";
import { freePort } from "./process.js";

/** Three brokers of Apache Kafka, each a controller as well. A message is acknowledged once two have it. */
export class KafkaCluster {
  static title = "Kafka, three brokers";
  folder = mkdtempSync(join(tmpdir(), "seclog-kafka-cluster-"));
  /** By id, from 1. */
  nodes = new Map();
  #ports = new Map();

  static needs() {
    return KafkaEngine.needs();
  }

  /** @param {Record<string, string>} settings as in server.properties */
  static async start(settings = {}) {
    const engine = new KafkaCluster();
    const cluster = clusterId();
    const controllers = [await freePort(), await freePort(), await freePort()];
    const voters = controllers.map((port, i) => `${i + 1}@127.0.0.1:${port}`).join(",");
    for (const [i, controller] of controllers.entries()) {
      const id = i + 1;
      const port = await freePort();
      engine.#ports.set(id, port);
      const folder = join(engine.folder, `${id}`);
      mkdirSync(folder);
      const replicated = { "offsets.topic.replication.factor": "3", "default.replication.factor": "3" };
      const node = new KafkaNode({ folder, id, cluster, port, voters, controller }, [], { ...replicated, ...settings });
      engine.nodes.set(id, node);
    }
    // Two of three elect a leader, so all must start before one is ready.
    await Promise.all([...engine.nodes.values()].map((node) => node.up()));
    await settled(async () => {
      const there = await engine.administered(async (admin) => (await admin.describeCluster()).brokers.length);
      if (there < 3) throw Object.assign(new Error(`${there} of 3 brokers are there`), { retriable: true });
    });
    return engine;
  }

  get brokers() {
    return [...this.#ports.values()].map((port) => `127.0.0.1:${port}`);
  }

  get url() {
    return `kafka://${this.brokers.join(",")}`;
  }

  administered(run) {
    return administered(this.brokers, run);
  }

  waiting() {
    return settled(() => this.administered(waitingIn));
  }

  /** The broker that leads most partitions of the queue. */
  async leader() {
    return settled(() =>
      this.administered(async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: ["seclog.events"] });
        const led = new Map();
        for (const { leader } of topics[0].partitions) led.set(leader, (led.get(leader) ?? 0) + 1);
        return [...led].sort(([, a], [, b]) => b - a)[0][0];
      }),
    );
  }

  /** Kills a broker, and loses its disk. */
  async lose(id) {
    const node = this.nodes.get(id);
    await node.down("SIGKILL");
    rmSync(node.data, { recursive: true });
  }

  async end() {
    await Promise.all([...this.nodes.values()].map((node) => node.down("SIGKILL")));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
