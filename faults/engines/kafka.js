import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Kafka, Partitioners } from "kafkajs";
import { KAFKA_LIBRARY } from "./fetch-kafka.js";
import { Partition } from "./partition.js";
import { EngineProcess, freePort, isInstalled, upOrEnd } from "./process.js";

const QUEUE = "seclog";

/** A JVM that starts fast and stays small. */
const JAVA = ["java", "-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"];

/** A broker of Apache Kafka, which is also the controller of its cluster, or one of them. */
export class KafkaNode {
  #process;

  /**
   * @param node `folder`, `id`, `cluster`, `port`, `voters` (`1@127.0.0.1:9093,…`), `controller` (its port)
   * @param doors more listeners, `{ name, port, advertised, protocol }`
   * @param {Record<string, string>} settings as in server.properties
   */
  constructor({ folder, id, cluster, port, voters, controller }, doors, settings) {
    const all = [{ name: "CLIENT", port, advertised: port, protocol: "PLAINTEXT" }, ...doors];
    const listeners = (of) => all.map((door) => `${door.name}://127.0.0.1:${of(door)}`).join(",");
    const properties = {
      "process.roles": "broker,controller",
      "node.id": `${id}`,
      "controller.quorum.voters": voters,
      "controller.listener.names": "CONTROLLER",
      "inter.broker.listener.name": "CLIENT",
      listeners: `${listeners((door) => door.port)},CONTROLLER://127.0.0.1:${controller}`,
      "advertised.listeners": listeners((door) => door.advertised),
      "listener.security.protocol.map": [
        ...all.map(({ name, protocol }) => `${name}:${protocol}`),
        "CONTROLLER:PLAINTEXT",
      ].join(","),
      "log.dirs": join(folder, "data"),
      "offsets.topic.num.partitions": "4",
      "offsets.topic.replication.factor": "1",
      // A broker that was killed may come back at once.
      "broker.session.timeout.ms": "2000",
      "broker.heartbeat.interval.ms": "500",
      ...settings,
    };
    this.data = join(folder, "data");
    this.cluster = cluster;
    this.file = join(folder, "server.properties");
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(this.file, lines.join(""));
    this.#process = new EngineProcess([...JAVA, join(KAFKA_LIBRARY, "*"), "kafka.Kafka", this.file], () =>
      answering(`127.0.0.1:${port}`),
    );
  }

  get pid() {
    return this.#process.pid;
  }

  async up() {
    if (!existsSync(this.data)) this.#format();
    await this.#process.up();
  }

  async down(signal) {
    await this.#process.down(signal);
  }

  #format() {
    const tool = ["kafka.tools.StorageTool", "format", "-t", this.cluster, "-c", this.file];
    const [program, ...args] = [...JAVA, join(KAFKA_LIBRARY, "*"), ...tool];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`Kafka's storage cannot be formatted: ${stdout}${stderr}`);
  }
}

/** Rejects while a broker, or the coordinator of the workers' group, does not answer. */
async function answering(broker) {
  await administered([broker], (admin) => admin.fetchOffsets({ groupId: `${QUEUE}-work` }));
}

/** A client that gives up fast. */
function testClient(brokers) {
  return new Kafka({
    brokers,
    clientId: "seclog-test",
    connectionTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { retries: 3, initialRetryTime: 100 },
    logLevel: 0,
  });
}

/** Runs commands of an administrator. */
export async function administered(brokers, run) {
  const admin = testClient(brokers).admin();
  try {
    await admin.connect();
    return await run(admin);
  } finally {
    await admin.disconnect();
  }
}

/** A new id for a cluster: a UUID in base64, as Kafka writes it. A program takes one that begins with - for an option. */
export function clusterId() {
  return randomBytes(16).toString("base64url").replace(/^-/, "_");
}

/** Runs again while brokers have not agreed on something new yet. */
export async function settled(run) {
  for (const deadline = performance.now() + 30_000; ; await sleep(200)) {
    try {
      return await run();
    } catch (error) {
      if (!(error.retriable ?? error.cause?.retriable) || performance.now() > deadline) throw error;
    }
  }
}

/** How many messages wait, by an administrator. */
export async function waitingIn(admin) {
  const topics = [`${QUEUE}.events`, `${QUEUE}.later`];
  const there = (await admin.listTopics()).filter((topic) => topics.includes(topic));
  const committed = await admin.fetchOffsets({ groupId: `${QUEUE}-work`, topics: there });
  let waiting = 0;
  for (const topic of there) {
    const { partitions } = committed.find((one) => one.topic === topic);
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      const offset = Number(partitions.find((one) => one.partition === partition)?.offset ?? -1);
      waiting += Number(high) - Math.max(offset, Number(low));
    }
  }
  return waiting;
}

/** Apache Kafka: one broker with KRaft. */
export class KafkaEngine {
  static title = "Kafka";
  folder = mkdtempSync(join(tmpdir(), "seclog-kafka-"));
  port = 0;
  /** Of the listener that asks for SASL PLAIN: `seclog`, `sesame-4711`. */
  saslPort = 0;
  #node;
  /** Listeners that are reached through a proxy: a broker tells its clients where to connect. */
  #doors = [];
  #opened = 0;
  #wiped = 0;

  /** Why it cannot run here; `undefined` when it can. */
  static needs() {
    if (!isInstalled("java")) return "java is not installed";
    return existsSync(KAFKA_LIBRARY)
      ? undefined
      : "Apache Kafka is not in the cache: node faults/engines/fetch-kafka.js fetches it";
  }

  /** @param {Record<string, string>} settings as in server.properties */
  static async start(settings = {}) {
    const engine = new KafkaEngine();
    engine.port = await freePort();
    engine.saslPort = await freePort();
    for (const name of ["FIRST", "SECOND"]) {
      engine.#doors.push({ name, port: await freePort(), advertised: await freePort(), protocol: "PLAINTEXT" });
    }
    const controller = await freePort();
    const sasl = { name: "SASL", port: engine.saslPort, advertised: engine.saslPort, protocol: "SASL_PLAINTEXT" };
    engine.#node = new KafkaNode(
      {
        folder: engine.folder,
        id: 1,
        cluster: clusterId(),
        port: engine.port,
        voters: `1@127.0.0.1:${controller}`,
        controller,
      },
      [...engine.#doors, sasl],
      {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config":
          'org.apache.kafka.common.security.plain.PlainLoginModule required user_seclog="sesame-4711";',
        ...settings,
      },
    );
    await upOrEnd(engine);
    return engine;
  }

  get url() {
    return `kafka://${this.broker}`;
  }

  get broker() {
    return `127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#node.pid;
  }

  /** A proxy to a listener that advertises the proxy's port. There are two. */
  async partition() {
    const { port, advertised } = this.#doors[this.#opened++];
    return Partition.start(port, advertised);
  }

  async up() {
    await this.#node.up();
  }
  async kill() {
    await this.#node.down("SIGKILL");
  }
  async down() {
    await this.#node.down();
  }

  /** Loses everything: its topics the first time, its disk the next, and so on. */
  async wipe() {
    if (this.#wiped++ % 2 === 0) return this.purge();
    await this.kill();
    rmSync(this.#node.data, { recursive: true });
    await this.up();
  }

  /** Deletes the topics, and with them what workers have committed. */
  async purge() {
    await administered([this.broker], async (admin) => {
      const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${QUEUE}.`));
      if (topics.length > 0) await admin.deleteTopics({ topics });
    });
  }

  /** Makes a topic as an operator would. */
  async makeTopic(topic, settings) {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await administered([this.broker], async (admin) => {
      await admin.createTopics({ waitForLeaders: false, topics: [{ topic, configEntries }] });
      while (!(await admin.listTopics()).includes(topic)) await sleep(50);
    });
  }

  /** How many messages wait, of the queue `seclog`. */
  waiting() {
    return settled(() => administered([this.broker], waitingIn));
  }

  /** The messages of a topic, partition by partition. */
  async messages(topic) {
    const found = [];
    const offsets = await settled(() => administered([this.broker], (admin) => admin.fetchTopicOffsets(topic)));
    const missing = new Set(offsets.filter(({ low, high }) => low !== high).map(({ partition }) => partition));
    if (missing.size === 0) return found;
    const consumer = testClient([this.broker]).consumer({ groupId: `test-${randomBytes(8).toString("hex")}` });
    try {
      await consumer.subscribe({ topic, fromBeginning: true });
      await new Promise((resolve, reject) => {
        consumer.on("consumer.crash", ({ payload }) => reject(payload.error));
        const eachMessage = async ({ partition, message }) => {
          found.push({ partition, ...message });
          const { high } = offsets.find((one) => one.partition === partition);
          if (Number(message.offset) + 1 >= Number(high)) missing.delete(partition);
          if (missing.size === 0) resolve();
        };
        consumer.run({ autoCommit: false, eachMessage }).catch(reject);
      });
    } finally {
      await consumer.disconnect();
    }
    return found;
  }

  /** Everything that a stranger who reaches the engine can see, as text. */
  async dump() {
    const texts = (await this.messages(`${QUEUE}.events`)).map(({ value }) => value.toString("latin1"));
    return texts.join("\n");
  }

  /** Adds a message of a stranger, whose bytes may be any. */
  async inject(bytes) {
    await this.send([{ partition: 3, value: bytes }]);
  }

  /** Adds every message that is there once more, the newest first. */
  async replay() {
    const messages = await this.messages(`${QUEUE}.events`);
    await this.send(messages.reverse().map(({ partition, key, value }) => ({ partition, key, value })));
  }

  /** Refuses messages, as a cluster does that has too few replicas. */
  async fill() {
    await this.#requireReplicas("2");
  }
  async relieve() {
    await this.#requireReplicas("1");
  }

  async #requireReplicas(value) {
    const configEntries = [
      { name: "min.insync.replicas", value },
      { name: "message.timestamp.type", value: "LogAppendTime" },
    ];
    await administered([this.broker], (admin) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: `${QUEUE}.events`, configEntries }] }),
    );
  }

  /** @param messages `{ partition, key, value }`; without a partition, the key chooses one */
  async send(messages, topic = `${QUEUE}.events`) {
    const producer = testClient([this.broker]).producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // Until a worker or an application has made the topic.
      retry: { retries: 12, initialRetryTime: 100, maxRetryTime: 2_000 },
    });
    await producer.connect();
    // One by one: together they may be more than a broker takes.
    for (const message of messages) await producer.send({ topic, messages: [message] });
    await producer.disconnect();
  }

  async end() {
    await this.#node.down("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
