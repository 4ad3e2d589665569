/** Queues: what happens to engines and workers, and between them. Each fault runs on every engine that is here. */
import { setTimeout as sleep } from "node:timers/promises";
import { Partition } from "../engines/partition.js";
import { PostgresProxy } from "../proxy.js";
import { each, journey, needs } from "../queue-scene.js";
import { isCommit, isCommitted } from "../server.js";

const killed = {
  number: "28a",
  name: "queue: a worker killed, the engine killed and restarted on the way",
  runs: { full: 1, short: 1 },
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
  needs,
  run: (context) =>
    each(context, (context, engine) =>
      journey(context, engine, {
        async during(scene) {
          for (const share of [0.2, 0.5]) {
            await scene.rows(share * scene.total);
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
  needs,
  run: (context) =>
    each(context, async (context, engine) => {
      const holes = new Map();
      await journey(context, engine, {
        confirm: "queued",
        workers: 0,
        work: ["--lost-after", "15"],
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
          // A broker of Kafka says itself where its clients connect, so it has proxies of its own.
          for (let i = 0; i < 2; i++) {
            partitions.push((await engine.partition?.()) ?? (await Partition.start(engine.port)));
          }
          const [app, worker] = partitions.map((partition) => through(engine, partition));
          return { app, worker };
        },
        async during(scene) {
          await scene.rows(0.1 * scene.total);
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

/** Between worker and PostgreSQL, through which half of a transaction may have gone. */
const cutOff = {
  number: "28e",
  name: "queue: partitions between worker and PostgreSQL",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(context, async (context, engine) => {
      let proxy;
      await journey(context, engine, {
        async prepare(engine, { server, database }) {
          proxy = await PostgresProxy.start(server.port);
          return { app: engine.url, worker: engine.url, relay: proxy.through(database.relayUrl) };
        },
        async during(scene) {
          for (let n = 1; n <= (context.short ? 6 : 40); n++) {
            await scene.rows((n / (context.short ? 10 : 50)) * scene.total);
            if (n % 3 > 0) proxy.cut();
            else {
              proxy.stall();
              await sleep(1_000);
              proxy.resume();
            }
          }
        },
        end: () => proxy?.end(),
      });
    }),
};

/** The steps of a worker, as PostgreSQL sees them; after the last one it has yet to answer and to acknowledge. */
const STEPS = {
  "before COPY": ({ from, type }) => from === "client" && type === "d",
  "before COMMIT": isCommit,
  "after COMMIT": isCommitted,
};

const killedAtEachStep = {
  number: "28f",
  name: "queue: a worker killed at each of its steps",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(context, async (context, engine) => {
      let proxy;
      await journey(context, engine, {
        workers: 1,
        async prepare(engine, { server, database }) {
          proxy = await PostgresProxy.start(server.port);
          return { app: engine.url, worker: engine.url, relay: proxy.through(database.relayUrl) };
        },
        async during(scene) {
          const rounds = context.short ? 1 : 8;
          for (let round = 0; round < rounds; round++) {
            for (const wanted of Object.values(STEPS)) {
              // It may be too late for a step when everything is stored.
              if ((await scene.count()) > 0.9 * scene.total) return;
              await Promise.race([proxy.hold(wanted).met, sleep(20_000)]);
              await scene.workers.at(-1).kill();
              proxy.cut();
              proxy.trap = undefined;
              scene.startWorker();
            }
          }
        },
        end: () => proxy?.end(),
      });
    }),
};

/** A worker whose wall clock is a day ahead, and one whose clock is a day behind. */
const anotherDay = {
  number: "28g",
  name: "queue: the clocks of two workers two days apart, one of them killed",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(context, (context, engine) =>
      journey(context, engine, {
        workers: 0,
        async during(scene) {
          const day = 86_400_000;
          const workers = [day, -day].map((offset) =>
            scene.startWorker({
              env: { CLOCK_JUMPS: JSON.stringify([[0, offset]]) },
              execArgv: ["--import", new URL("../preloads/jumping-clock.js", import.meta.url).href],
            }),
          );
          await scene.rows(0.3 * scene.total);
          await workers[0].kill();
          await scene.rows(0.9 * scene.total);
        },
      }),
    ),
};

const full = {
  number: "28h",
  name: "queue: the engine is full for a while",
  runs: { full: 1, short: 1 },
  needs,
  run: (context) =>
    each(
      context,
      (context, engine) =>
        journey(context, engine, {
          workers: 0,
          async during(scene) {
            await scene.until(async () => (await scene.engine.waiting()) > 0, 60_000, "a message");
            await scene.engine.fill();
            await sleep(3_000);
            scene.startWorker();
            await sleep(2_000);
            await scene.engine.relieve();
          },
        }),
      "fill",
    ),
};

export const QUEUE_FAULTS = [killed, wiped, purged, partitioned, cutOff, killedAtEachStep, anotherDay, full];
