/** Helpers for the faults of the server and of the connection to it. */

/** About 250 events a second: enough that something is always under way. */
export const LOAD = { perTurn: 5, pause: 20 };

/** The report of health() on the application's only handler. */
export function handlerOf(state) {
  return state.health?.handlers[0];
}

/** Resolves when the running application has stored everything recorded so far. */
export async function shippedSince(app, deadline = 120_000) {
  const { recorded } = app.state;
  // The log's own events count in one figure and not in the other.
  return await app.until((state) => handlerOf(state).shipped > recorded, deadline);
}

/** The message that advances a source's position over a copied batch. */
export const isAdvance = ({ from, type, data }) => from === "client" && type === "P" && data.includes("seclog_advance");

/** The message that commits a batch, and the server's reply to it. */
export const isCommit = ({ from, type, data }) =>
  from === "client" && type === "Q" && data.latin1Slice(5) === "COMMIT\0";
export const isCommitted = ({ from, type, data }) => from === "server" && type === "C" && data.includes("COMMIT");

/** Allows so many events in flight that the application never waits for one. */
export const STORED = { wait: "stored", inFlight: 1_000_000 };

/** At any moment, each event acknowledged as stored must be in the table. */
export async function expectStored(world, expect, when) {
  const acknowledged = await world.acknowledged();
  const rows = await world.query("SELECT data->>'key' AS key FROM security_event_log WHERE category <> 'log'");
  const stored = new Set(rows.map(({ key }) => key));
  const early = acknowledged.filter((key) => !stored.has(key)).length;
  expect(early === 0, `${when}: ${early} events were acknowledged as stored and were not`);
}

/**
 * Measures the application's event loop from now on until `work` has resolved, for at least `atLeast` milliseconds.
 *
 * @returns {Promise<{ ms: number, longest: number, long: number }>} milliseconds, the longest stall, and how many were
 *   long
 */
export async function stretch(app, atLeast, work = async () => {}) {
  const number = ++stretches;
  app.child.send({ stretch: number });
  const start = performance.now();
  await work();
  const wanted = Math.max(atLeast, performance.now() - start);
  const state = await app.until((now) => now.stretch.number === number && now.stretch.ms >= wanted, wanted + 60_000);
  return state.stretch;
}

let stretches = 0;

/**
 * The application's requests must not suffer from its database's troubles. Compared with a healthy stretch of the same
 * run, since other work on the machine causes long stalls as well. A stall at each failure would show up more often.
 */
export function expectNoStalls(expect, note, what, healthy, troubled) {
  const most = 1 + Math.ceil((2 * healthy.long * troubled.ms) / healthy.ms);
  const figures = ({ long, longest, ms }) =>
    `${long} in ${(ms / 1_000).toFixed(0)} s, the longest ${longest.toFixed(0)} ms`;
  const stalls = `long stalls of the event loop (250 ms and more): ${figures(healthy)}, when healthy; ${figures(troubled)}, ${what}`;
  const isBounded = troubled.longest < Math.max(1_000, 3 * healthy.longest);
  expect(troubled.long <= most && isBounded, stalls);
  note(stalls);
}
