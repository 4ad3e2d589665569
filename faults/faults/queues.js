/** Queues: what engines, workers and strangers do to events on their way. Each fault runs on every engine that is here. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ENGINES } from "../engines/all.js";
import { Partition } from "../engines/partition.js";

/** The engines to run on: all that are installed, or those that `SECLOG_FAULT_ENGINES` names (`redis,nats`). */
const CHOSEN = process.env.SECLOG_FAULT_ENGINES?.split(",");
const engines = () =>
  Object.entries(ENGINES).filter(([name, Engine]) => Engine.needs() === undefined && (CHOSEN?.includes(name) ?? true));

/** Why no engine can be run. */
const needs = () =>
  engines().length > 0
    ? undefined
    : Object.values(ENGINES)
        .map((Engine) => Engine.needs())
        .join("; ");

/**
 * Applications, an engine and workers. `during` disturbs them while events flow; afterwards everything must be stored.
 *
 * @param options `apps`, `workers`, `count` (events of each application), `confirm`, `settings` of the engine,
 *   `prepare(engine)` (resolves to what applications and workers connect to, such as a proxy), `end()`, `work` (more
 *   arguments of `seclog work`)
 */
async function journey(context, [name, Engine], options = {}) {
  const { apps = 3, workers = 2, count = context.short ? 1_500 : 33_400, confirm = "stored", during } = options;
  const world = await context.world();
  const engine = await Engine.start(options.settings);
  const scene = new Scene(context, world, engine, name, { confirm, ...options });
  try {
    scene.urls = (await options.prepare?.(engine)) ?? scene.urls;
    for (let i = 0; i < workers; i++) scene.startWorker();
    await Promise.all(Array.from({ length: apps }, () => scene.startApp({ count })));
    await during?.(scene);
    for (const app of scene.apps) await app.done(300_000);
    await scene.close();
    if (confirm === "queued") await scene.empty();
    await options.after?.(scene);
    await scene.stopWorkers();
  } finally {
    for (const worker of scene.workers) if (!worker.ended) await worker.kill();
    await options.end?.();
    await engine.end();
  }
  await context.finish(world, options.checked?.(scene));
  context.ran();
}

/** What takes part in a journey. */
class Scene {
  apps = [];
  workers = [];
  key = randomBytes(32).toString("base64");

  constructor(context, world, engine, name, options) {
    Object.assign(this, { context, world, engine, name, options });
    this.urls = { app: engine.url, worker: engine.url };
  }

  async startApp(more = {}) {
    const { confirm, handler } = this.options;
    const queue = { engine: this.name, url: this.urls.app, confirm, queueKey: this.key, ...handler };
    const app = await this.world.startApp({ perTurn: 50, pause: 1, inFlight: 5_000, ...more, queue });
    this.apps.push(app);
    return app;
  }

  startWorker({ env = {}, args = [], execArgv = [] } = {}) {
    const worker = this.world.startProgram(
      ["work", "--from", this.urls.worker, "--json", ...(this.options.work ?? []), ...args],
      { env: { SECLOG_QUEUE_KEY: this.key, ...env }, execArgv, deadline: 900_000 },
    );
    this.workers.push(worker);
    return worker;
  }

  /** Closes the applications: with `confirm: "stored"`, that waits until workers have stored everything. */
  async close() {
    await Promise.all(this.apps.filter((app) => !app.ended).map((app) => app.close()));
  }

  /** Resolves when so many rows are stored. */
  async rows(count, deadline = 120_000) {
    await this.until(async () => (await this.count()) >= count, deadline, `${count} rows`);
  }

  async count() {
    return Number((await this.world.query("SELECT count(*) FROM security_event_log"))[0].count);
  }

  /** Resolves when nothing is left in the queue. */
  async empty(deadline = 180_000) {
    await this.until(async () => (await this.engine.waiting()) === 0, deadline, "an empty queue");
  }

  async until(condition, deadline, what) {
    for (const end = performance.now() + deadline; !(await condition()); await sleep(100)) {
      if (performance.now() > end) throw new Error(`not within ${deadline} ms: ${what}; workers: ${this.output}`);
    }
  }

  get output() {
    return this.workers.map(({ output }) => output.slice(-2_000)).join("\n");
  }

  async stopWorkers() {
    for (const worker of this.workers.filter(({ ended }) => !ended)) {
      worker.child.kill("SIGTERM");
      const code = await worker.exited;
      this.context.expect(
        code === 0,
        `a worker that was asked to stop exited with ${code}: ${worker.output.slice(-500)}`,
      );
    }
  }
}

const each = async (context, run) => {
  for (const engine of engines()) await run(context, engine);
  const missing = Object.entries(ENGINES).filter(([name]) => !engines().some(([there]) => there === name));
  for (const [name, Engine] of missing) context.note(`not on ${name}: ${Engine.needs() ?? "not chosen"}`);
};

const killed = {
  number: "28a",
  name: "queue: a worker killed, the engine killed and restarted on the way",
  runs: { full: 1, short: 1 },
  alone: true,
  needs,
  run: (context) =>
    each(context, (context, engine) =>
      journey(context, engine, {
        async during(scene) {
          await scene.rows(context.short ? 500 : 20_000);
          await scene.workers[0].kill();
          await scene.rows(context.short ? 1_000 : 35_000);
          await scene.engine.kill();
          await sleep(1_000);
          await scene.engine.up();
          scene.startWorker();
        },
      }),
    ),
};

const wiped = {
  number: "28b",
  name: 'queue: the engine loses everything, confirm: "stored"',
  runs: { full: 1, short: 1 },
  alone: true,
  needs,
  run: (context) =>
    each(context, (context, engine) =>
      journey(context, engine, {
        async during(scene) {
          for (const share of [0.2, 0.5]) {
            await scene.rows(share * 3 * (context.short ? 1_500 : 33_400));
            await scene.engine.wipe();
          }
        },
      }),
    ),
};

/** The queue and the database are both consistent with each other only where the hole is on record. */
const purged = {
  number: "28c",
  name: 'queue: purged in the middle, confirm: "queued": the hole is on record',
  runs: { full: 1, short: 1 },
  alone: true,
  needs,
  run: (context) =>
    each(context, async (context, engine) => {
      const holes = new Map();
      await journey(context, engine, {
        confirm: "queued",
        workers: 0,
        work: ["--lost-after", "3"],
        async during(scene) {
          // Half of it is queued, and gone before a worker comes.
          await Promise.all(scene.apps.map((app) => app.until(({ acknowledged }) => acknowledged > 500)));
          await scene.until(async () => (await scene.engine.waiting()) >= 3, 60_000, "three messages in the queue");
          await scene.engine.wipe();
          scene.startWorker();
        },
        async after(scene) {
          await scene.until(async () => (await scene.engine.waiting()) === 0, 120_000, "an empty queue");
          const rows = await scene.world.query(
            "SELECT source_id || '/' || seq AS place, reason FROM security_event_quarantine",
          );
          for (const { place, reason } of rows) holes.set(place, reason);
          context.expect(rows.length > 0, "nothing was lost: the purge came too late");
          context.expect(
            rows.every(({ reason }) => reason.startsWith("lost in the queue")),
            `a hole has another reason: ${rows[0]?.reason}`,
          );
        },
        checked: () => ({ onRecord: holes.size }),
      });
      context.note(`${engine[0]}: ${holes.size} numbers were lost with the queue, each is on record in quarantine`);
    }),
};

/** Between application and engine, and between engine and worker: reset, and silent. */
const partitioned = {
  number: "28d",
  name: "queue: partitions between application, engine and worker",
  runs: { full: 1, short: 1 },
  alone: true,
  needs,
  run: (context) =>
    each(context, async (context, engine) => {
      const partitions = [];
      const through = (engine, { port }) => {
        const url = new URL(engine.url);
        url.port = `${port}`;
        return url.href;
      };
      await journey(context, engine, {
        async prepare(engine) {
          partitions.push(await Partition.start(engine.port), await Partition.start(engine.port));
          const [app, worker] = partitions.map((partition) => through(engine, partition));
          return { app, worker };
        },
        async during(scene) {
          const total = 3 * (context.short ? 1_500 : 33_400);
          await scene.rows(0.1 * total);
          for (const how of ["cut", "swallow"]) {
            for (const partition of partitions) {
              partition[how]();
              await sleep(context.short ? 1_500 : 8_000);
              partition.heal();
              await sleep(500);
            }
          }
        },
        end: () => Promise.all(partitions.map((partition) => partition.end())),
      });
    }),
};

export const QUEUE_FAULTS = [killed, wiped, purged, partitioned];
