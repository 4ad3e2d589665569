/** Applications, a queue engine and workers together. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ENGINES } from "./engines/all.js";

/** The engines to run on: all that are installed, or those that `SECLOG_FAULT_ENGINES` names (`redis,nats`). */
const CHOSEN = process.env.SECLOG_FAULT_ENGINES?.split(",");
const engines = () =>
  Object.entries(ENGINES).filter(([name, Engine]) => Engine.needs() === undefined && (CHOSEN?.includes(name) ?? true));

/** Why no engine can be run. */
export const needs = () =>
  engines().length > 0
    ? undefined
    : Object.values(ENGINES)
        .map((Engine) => Engine.needs())
        .join("; ");

/**
 * Applications, an engine and workers. `during` disturbs them while events flow; afterwards everything must be stored.
 *
 * @param options `apps`, `workers`, `count` (events of each application), `confirm`, `settings` of the engine,
 *   `prepare(engine, world)` (resolves to what applications and workers connect to, such as a proxy), `end()`, `work` (more
 *   arguments of `seclog work`)
 */
export async function journey(context, [name, Engine], options = {}) {
  const { apps = 3, workers = 2, count = context.short ? 1_500 : 33_400, confirm = "stored", during } = options;
  const world = await context.world();
  const engine = await Engine.start(options.settings);
  const scene = new Scene(context, world, engine, name, { confirm, ...options });
  try {
    scene.urls = (await options.prepare?.(engine, world)) ?? scene.urls;
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

  /** Events that the applications record in all. */
  get total() {
    return (this.options.apps ?? 3) * (this.options.count ?? (this.context.short ? 1_500 : 33_400));
  }

  async startApp(more = {}) {
    const { confirm, handler } = this.options;
    const queue = { engine: this.name, url: this.urls.app, confirm, queueKey: this.key, ...handler };
    const app = await this.world.startApp({ perTurn: 50, pause: 1, inFlight: 5_000, ...more, queue });
    this.apps.push(app);
    return app;
  }

  startWorker({ env = {}, args = [], execArgv = [] } = {}) {
    const relay = this.urls.relay === undefined ? {} : { SECLOG_RELAY_URL: this.urls.relay };
    const worker = this.world.startProgram(
      ["work", "--from", this.urls.worker, "--json", ...(this.options.work ?? []), ...args],
      { env: { SECLOG_QUEUE_KEY: this.key, ...relay, ...env }, execArgv, deadline: 900_000 },
    );
    this.workers.push(worker);
    return worker;
  }

  /** The dead letters, as `seclog work --dead-letters` lists them; or what another of its options does. */
  async deadLetters(...args) {
    const program = this.world.startProgram(["work", "--from", this.engine.url, "--dead-letters", "--json", ...args]);
    const code = await program.exited;
    if (code !== 0) throw new Error(`work --dead-letters ${args.join(" ")} exited with ${code}: ${program.output}`);
    return program.output
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
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

/**
 * Runs on each engine; in the short form on the first one, unless `SECLOG_FAULT_ENGINES` names some.
 *
 * @param {string} [method] a method that the engine's class must have
 */
export const each = async (context, run, method) => {
  const able = engines().filter(([, { prototype }]) => method === undefined || method in prototype);
  const chosen = context.short && CHOSEN === undefined ? able.slice(0, 1) : able;
  for (const engine of chosen) await run(context, engine);
  for (const [name, Engine] of Object.entries(ENGINES)) {
    if (chosen.some(([there]) => there === name)) continue;
    const lacks = method !== undefined && !(method in Engine.prototype) ? `its class has no ${method}()` : undefined;
    context.note(`not on ${name}: ${Engine.needs() ?? lacks ?? "not in this run"}`);
  }
};
