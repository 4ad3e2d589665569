/** What a pooler between the shipper and PostgreSQL does to the connection. */
import { setTimeout as sleep } from "node:timers/promises";
import { hasPgBouncer, PgBouncer } from "#test/support/pgbouncer.js";
import { expectStored, handlerOf, LOAD, STORED, shippedSince } from "../server.js";

export const POOLER_FAULTS = [
  {
    number: 37,
    name: "PgBouncer, its connections to PostgreSQL cut and itself killed",
    runs: { full: 60, short: 6 },
    needs: () => (hasPgBouncer ? undefined : "pgbouncer is not installed"),
    async run({ world: create, finish, expect, runs, ran, note }) {
      for (const mode of ["transaction", "session"]) {
        const world = await create();
        const pooler = await PgBouncer.start({ serverUrl: world.server.url, mode });
        try {
          const options = { ...LOAD, ...STORED, handler: { batchSize: 10 } };
          const app = await world.startApp(options, { url: pooler.through(world.database.writerUrl) });
          await app.until((state) => handlerOf(state)?.shipped > 0);
          let cut = 0;
          for (let run = 0; run < runs / 2; run++) {
            await sleep(Math.random() * 100);
            if (run % 3 === 2) {
              await pooler.kill();
              await pooler.up();
            } else cut += (await world.query(CUT)).length;
            await shippedSince(app);
            ran();
          }
          await expectStored(world, expect, `through pool_mode = ${mode}`);
          const state = await app.close();
          expect(handlerOf(state)?.behind === 0, `${handlerOf(state)?.behind} events were not shipped at the end`);
          note(`pool_mode = ${mode}: ${cut} connections cut, ${handlerOf(state).retries} retries`);
          await finish(world);
        } finally {
          await pooler.end();
        }
      }
    },
  },
];

/** Cuts the pooler's connections to PostgreSQL, wherever a batch is at that moment. */
const CUT = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND usename = 'faults_writer'`;
