/** Processes that are killed. */
import { setTimeout as sleep } from "node:timers/promises";

export const KILL_FAULTS = [
  {
    number: 1,
    name: "kill -9 of the application",
    runs: { full: 200, short: 8 },
    async run({ runs, world: create, finish, ran }) {
      const world = await create();
      for (let run = 0; run < runs; run++) {
        // The next life adopts what this one leaves, while it records events of its own, and is killed, too.
        const app = await world.startApp();
        await sleep(50 + Math.random() * 850);
        await app.kill();
        ran();
      }
      await world.drain();
      await finish(world);
    },
  },
];
