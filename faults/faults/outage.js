/**
 * A long outage of PostgreSQL: its effect on the application and its machine, and what happens when the spool is full.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expectNoStalls, stretch } from "../server.js";

const MiB = 1024 * 1024;
/** Above this, on any machine, a queue is not bounded. In bytes. */
const MOST_MEMORY = 512 * MiB;
/** Above this, a request that waits for nothing is late, beside twice and three times its healthy latency. In ms. */
const SLOW = { median: 20, p99: 100 };
const FOREVER = Number.MAX_SAFE_INTEGER;

/** How long a full spool is observed: the handler fails half a dozen times. */
const FULL_MS = 3_000;

export const OUTAGE_FAULTS = [
  {
    number: "P9",
    name: "a million events with PostgreSQL down",
    runs: { full: 1, short: 1 },
    alone: true,
    async run({ runs, short, signal, world: create, finish, ran, expect, note }) {
      // The short form must leave a busy machine time: the application is to be measured.
      const { count, rate, perTick } = short
        ? { count: 12_000, rate: 100, perTick: 10 }
        : { count: 1_000_000, rate: 300, perTick: 25 };
      // Several windows of each, so that one that another program disturbs does not count.
      const [seconds, windows] = short ? [1, 2] : [10, 4];
      for (let run = 0; run < runs; run++) {
        const world = await create({ ownServer: true });
        const app = await world.startApp({}, { program: "outage-app.js" });
        const { port } = await app.until((state) => state.port !== undefined);
        const load = fork(fileURLToPath(new URL("../applications/outage-load.js", import.meta.url)));
        try {
          const requests = async () => {
            load.send({ port, rate, seconds });
            const [window] = await once(load, "message", { signal });
            expect(window.failed === 0, `${window.failed} requests failed`);
            return window;
          };
          const healthy = [];
          const down = [];
          const measureHealthy = async () => {
            app.child.send({ record: FOREVER, perTick });
            await requests(); // Not counted: it warms up code and connections.
            const stalls = await stretch(app, 0, async () => {
              for (let window = 0; window < windows; window++) healthy.push(await requests());
            });
            app.child.send({ record: 0 });
            await app.until(({ left, health }) => left === 0 && health.handlers[0].behind === 0, 300_000);
            return stalls;
          };

          const calm = await measureHealthy();
          const memory = app.state.rss;
          await world.server.down();
          const downAt = performance.now();
          const { recorded: before } = app.state;
          app.child.send({ record: count, perTick });
          const recorded = () => app.state.recorded - before;
          const troubled = await stretch(app, 0, async () => {
            while (recorded() < count || down.length < windows) {
              down.push(await requests());
              if (performance.now() - downAt > 1_200_000) throw new Error(`only ${recorded()} recorded in 20 minutes`);
            }
          });
          const asked = await app.until((state) => state.acknowledged + state.refused === state.recorded);
          const minutes = (performance.now() - downAt) / 60_000;
          const during = asked.recorded - before;
          const spooled = bytesOf(world.spool);
          expect(asked.refused === 0, `${asked.refused} events were refused, with room in the spool`);
          expect(asked.health.status === "degraded", `health() says ${asked.health.status}, with PostgreSQL down`);
          expect(asked.failures.SECLOG_HANDLER_RETRY > 0, "the application got no diagnostic that the handler retries");
          expect(asked.health.handlers[0].behind >= count, "health() does not say how many events wait");
          expect(spooled <= 2048 * MiB, `the spool takes ${spooled} bytes, more than spool.maxBytes`);
          expect(asked.rss < MOST_MEMORY, `the application took ${inMiB(asked.rss)} MiB of memory`);

          await world.server.up();
          const upAt = performance.now();
          const { behind } = app.state.health.handlers[0];
          await app.until(({ health }) => health.handlers[0].behind < behind, 120_000);
          const firstAt = performance.now();
          await app.until(({ health }) => health.handlers[0].behind === 0, 900_000);
          world.drained = performance.now() - upAt;
          const perSecond = behind / ((performance.now() - firstAt) / 1_000);
          await measureHealthy();
          const last = await app.until(({ health }) => health.status === "ok");
          expect(last.rss < MOST_MEMORY, `the application took ${inMiB(last.rss)} MiB of memory while it drained`);
          await app.close();
          expect(world.sources.length === 0, "something is left in the spool");

          const [was, is] = [middles(healthy), middles(down)];
          for (const [what, times] of Object.entries({ median: 2, p99: 3 })) {
            const most = Math.max(SLOW[what], times * was[what]);
            expect(
              is[what] <= most,
              `latency ${what}: ${was[what].toFixed(1)} ms, without PostgreSQL ${is[what].toFixed(1)}`,
            );
          }
          expectNoStalls(expect, note, "without PostgreSQL", calm, troubled);
          note(
            `${during} events in ${minutes.toFixed(1)} minutes without PostgreSQL, ${rate} requests/s: latency ` +
              `median ${is.median.toFixed(2)} ms (${(is.median / was.median).toFixed(2)}× of a healthy run's), ` +
              `p99 ${is.p99.toFixed(2)} ms (${(is.p99 / was.p99).toFixed(2)}×), ` +
              `medians of ${healthy.length} and ${down.length} windows of ${seconds} s`,
          );
          note(
            `resident memory at most ${inMiB(memory)} MiB before, ${inMiB(asked.rss)} MiB without PostgreSQL, ` +
              `${inMiB(last.rss)} MiB until all was drained; ${inMiB(spooled)} MiB in the spool (maxBytes 2048 MiB)`,
          );
          note(
            `drained ${behind} events in ${(world.drained / 1_000).toFixed(1)} s: the first after ` +
              `${((firstAt - upAt) / 1_000).toFixed(1)} s, then ${Math.round(perSecond)} events/s`,
          );
        } finally {
          load.disconnect();
        }
        await finish(world);
        ran();
      }
    },
  },
  {
    number: "P9b",
    name: "a full spool with PostgreSQL down",
    runs: { full: 9, short: 1 },
    alone: true,
    async run({ runs, world: create, finish, ran, expect, note }) {
      const ways = [
        { what: "few in a turn", options: { perTurn: 20, pause: 2 } },
        // Longer texts: each event is synced on its own, and fewer of them suffice.
        {
          what: 'durability "strict"',
          options: { perTurn: 20, pause: 2, textLength: 4_000, durability: { authz_fail: "strict" } },
        },
        { what: "thousands in a turn", options: { perTurn: 3_000, inFlight: 3_000, pause: 30 } },
      ];
      const most = {};
      for (let run = 0; run < runs; run++) {
        const { what, options } = ways[run % ways.length];
        const maxBytes = 2 * MiB;
        const world = await create({ ownServer: true });
        const app = await world.startApp({ ...options, spool: { maxBytes, segmentBytes: MiB } });
        await app.until(({ health }) => health?.handlers[0].shipped > 0);
        const calm = await stretch(app, FULL_MS);
        const { refused } = app.state;
        let bytes = 0;
        const troubled = await stretch(app, FULL_MS, async () => {
          await world.server.down();
          await app.until((state) => {
            bytes = Math.max(bytes, bytesOf(world.spool));
            return state.refused > refused + 3_000;
          });
        });
        const full = app.state;
        expectNoStalls(expect, note, `${what}, without PostgreSQL and with a full spool`, calm, troubled);
        most[what] = Math.max(most[what] ?? 0, bytes);
        expect(bytes <= maxBytes, `${what}: the spool took ${bytes} bytes, maxBytes are ${maxBytes}`);
        expect(bytes > maxBytes / 2, `${what}: refused with ${bytes} bytes in the spool, maxBytes are ${maxBytes}`);
        expect(
          full.failures.SECLOG_SPOOL_FULL > 0,
          `${what}: the application got no diagnostic that the spool is full`,
        );
        expect(full.health.status !== "ok", `${what}: health() says ok, with a full spool`);
        const throws = options.durability === undefined ? 0 : full.refused;
        expect(full.thrown === throws, `${what}: ${full.thrown} calls threw, ${full.refused} were refused`);

        await world.server.up();
        const up = performance.now();
        const { acknowledged } = app.state;
        // Ready to take events again, without a restart.
        await app.until((state) => state.acknowledged > acknowledged + 300, 120_000);
        const last = await app.close();
        world.drained = performance.now() - up;
        const counted = Number(
          (
            await world.query(
              "SELECT coalesce(sum(count), 0) AS sum FROM security_event_log WHERE event_type = 'events_dropped'",
            )
          )[0].sum,
        );
        expect(
          last.health.dropped === last.refused,
          `${what}: ${last.refused} refused, health() says ${last.health.dropped}`,
        );
        expect(counted === last.refused, `${what}: ${last.refused} refused, events_dropped say ${counted}`);
        expect(world.sources.length === 0, `${what}: something is left in the spool`);
        const verdict = await finish(world);
        expect(
          verdict.acknowledged + last.refused === verdict.tried,
          `${what}: ${verdict.tried - verdict.acknowledged - last.refused} events were neither taken nor refused`,
        );
        ran();
      }
      for (const [what, bytes] of Object.entries(most)) note(`${what}: at most ${bytes} bytes of ${2 * MiB}`);
    },
  },
];

/** The bytes of all files in a folder. Those deleted meanwhile count nothing. */
function bytesOf(folder) {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true })) {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stat?.isFile()) bytes += stat.size;
  }
  return bytes;
}

const inMiB = (bytes) => (bytes / MiB).toFixed(0);

/** The medians of the windows' medians and 99th percentiles. */
function middles(windows) {
  const middle = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
  return { median: middle(windows.map(({ median }) => median)), p99: middle(windows.map(({ p99 }) => p99)) };
}
