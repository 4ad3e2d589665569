import { Queue } from "bullmq";
import { RedisEngine } from "./redis.js";

/** BullMQ in a Redis of its own. */
export class BullmqEngine extends RedisEngine {
  static title = "BullMQ";

  /** @param {Record<string, string>} settings as in redis.conf */
  static async start(settings = {}) {
    const engine = new BullmqEngine();
    await RedisEngine.start({ "maxmemory-policy": "noeviction", ...settings }, engine);
    return engine;
  }

  get redisUrl() {
    return super.url;
  }
  get url() {
    return `bullmq+${this.redisUrl}`;
  }

  async #queue(use) {
    const queue = new Queue("seclog", {
      connection: { host: "127.0.0.1", port: this.port, retryStrategy: () => null },
    });
    queue.on("error", () => {});
    try {
      return await use(queue);
    } finally {
      await queue.close();
    }
  }

  /** How many messages wait, of the queue `seclog`. */
  async waiting() {
    return await this.#queue(async (queue) => {
      const counts = await queue.getJobCounts("wait", "active", "delayed");
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    });
  }

  /** Everything that a stranger who reaches the engine can see, as text. */
  async dump() {
    return await this.#queue(async (queue) => {
      const jobs = await queue.getJobs();
      return jobs
        .map((job) => `${JSON.stringify(job)} ${Buffer.from(String(job.data.message), "base64").toString("latin1")}\n`)
        .join("");
    });
  }

  /** Adds a message of a stranger. */
  async inject(bytes) {
    await this.#queue((queue) => queue.add("events", { message: bytes.toString("base64") }, { attempts: 1_000 }));
  }

  /** Adds every message that is there once more, the newest first. */
  async replay() {
    await this.#queue(async (queue) => {
      const jobs = await queue.getJobs(["wait", "active", "delayed"], 0, -1, false);
      for (const { name, data } of jobs) await queue.add(name, data, { attempts: 1_000 });
    });
  }
}
