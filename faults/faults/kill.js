/** Processes that are killed. */
import { setTimeout as sleep } from "node:timers/promises";
import { NOWHERE } from "../world.js";

/** The longest start on any machine, whatever was left, in milliseconds. */
const SLOWEST_START = 10_000;

export const KILL_FAULTS = [
  {
    number: 1,
    name: "kill -9 of the application",
    runs: { full: 200, short: 8 },
    async run({ runs, world: create, finish, ran, expect, note }) {
      const world = await create();
      let slowest = 0;
      for (let run = 0; run < runs; run++) {
        // The next life adopts what this one leaves while it records events of its own, and is killed as well. Durability
        // "process" makes the same promise here. The kill comes at random, or right after an acknowledgement.
        const durability = run % 2 === 0 ? {} : { authz_fail: "process" };
        const diesAt = run % 4 < 2 ? undefined : 1 + Math.floor(Math.random() * 300);
        const start = performance.now();
        const app = await world.startApp({ durability, diesAt });
        if (run > 0) slowest = Math.max(slowest, performance.now() - start);
        if (diesAt === undefined) {
          await sleep(50 + Math.random() * 850);
          await app.kill();
        } else {
          await Promise.race([app.exited, sleep(60_000, undefined, { ref: false })]);
          expect(app.ended, `an application did not reach ${diesAt} acknowledged events in a minute`);
          await app.kill();
        }
        ran();
      }
      await world.drain();
      expect(slowest < SLOWEST_START, `a start after a kill took ${Math.round(slowest)} ms`);
      note(`a start after a kill took at most ${Math.round(slowest)} ms, Node's own included`);
      await finish(world);
    },
  },
  {
    number: 2,
    name: "kill -9 of the process that drains",
    runs: { full: 200, short: 4 },
    async run({ runs, world: create, finish, ran, expect, note }) {
      const world = await create();
      const ship = () => world.startProgram(["ship", "--spool", world.spool, "--json"]);
      let backlogs = 0;
      let halfway = 0;
      for (let run = 0; run < runs; run++) {
        if (world.sources.length === 0) {
          const app = await world.startApp({ count: 20_000, perTurn: 200, inFlight: 5_000 }, { url: NOWHERE });
          await app.done();
          await app.kill();
          backlogs++;
        }
        const before = await position(world);
        const program = ship();
        // At any moment from its start on; every other time, at any moment after its first batch.
        if (run % 2 === 0) await sleep(Math.random() * 1_000);
        else {
          while (!program.ended && (await position(world)) === before);
          await sleep(run === 1 ? 0 : Math.random() * 300);
        }
        const ended = await program.kill();
        if (ended === "SIGKILL" && world.sources.length > 0 && (await position(world)) > before) halfway++;
        ran();
      }
      const start = performance.now();
      const program = ship();
      expect((await program.exited) === 0, `the final seclog ship failed: ${program.output}`);
      world.drained = performance.now() - start;
      expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
      expect(halfway > 0, "no kill met a transfer under way");
      note(`${backlogs} backlogs of 20,000 events; ${halfway} of ${runs} kills in the middle of a transfer`);
      await finish(world);
    },
  },
];

/** The events that all sources have stored. */
async function position(world) {
  const [row] = await world.query("SELECT coalesce(sum(last_seq), 0)::int AS stored FROM security_event_source");
  return row.stored;
}
