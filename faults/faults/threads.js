/** Threads of an application that end with their logs open while the process lives on. */
import { setTimeout as sleep } from "node:timers/promises";
import { NOWHERE } from "../world.js";

/** The other logs look every five seconds; the rest is for a busy machine. */
const SOON_MS = 60_000;

export const THREAD_FAULTS = [
  {
    number: 38,
    name: "a thread ends without closing its log, and its process lives on",
    runs: { full: 12, short: 3 },
    async run({ runs, world: create, expect, finish, ran, note }) {
      const world = await create();
      let slowest = 0;
      for (let run = 0; run < runs; run++) {
        const how = ["terminate", "exit", "end"][run % 3];
        const app = await world.startApp({ url: world.database.writerUrl }, { program: "thread-app.js" });
        const thread = async (options) => {
          const ended = new Promise((resolve) => app.child.once("message", resolve));
          app.child.send({ how, away: NOWHERE, ...options });
          await ended;
        };
        // Shipped by another process.
        await thread({});
        expect(world.sources.length === 1, `${how}: ${world.sources.length} sources are left by a thread`);
        const { owned, finished } = await world.drain();
        expect(finished === 1 && owned === 0, `${how}: seclog ship shipped ${finished}, and left ${owned} alone`);

        // Shipped by a log of the same process, opened before or afterwards.
        await thread({ own: run % 2 === 0 });
        const from = performance.now();
        if (run % 2 !== 0) await thread({ own: true, away: world.database.writerUrl });
        while (world.sources.length > 1) {
          if (performance.now() - from > SOON_MS) throw new Error(`${how}: what a thread left was not shipped`);
          await sleep(50);
        }
        slowest = Math.max(slowest, performance.now() - from);
        await app.kill();
        await world.drain();
        ran();
      }
      expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
      note(
        `what a thread left was shipped by another log of its process after at most ${(slowest / 1_000).toFixed(0)} s`,
      );
      await finish(world);
    },
  },
];
