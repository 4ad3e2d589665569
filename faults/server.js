/** What the faults of the server and of the way to it have in common. */

/** About 250 events a second: enough that something is always under way. */
export const LOAD = { perTurn: 5, pause: 20 };

/** What the application's health() says of its only handler. */
export function handlerOf(state) {
  return state.health?.handlers[0];
}

/** Resolves when all that is recorded by now is stored: by the application as it runs. */
export async function shippedSince(app, deadline = 120_000) {
  const { recorded } = app.state;
  // The log's own events are in this count and not in that.
  return await app.until((state) => handlerOf(state).shipped > recorded, deadline);
}

/** The message that moves a source's position over a batch that was copied. */
export const isAdvance = ({ from, type, data }) => from === "client" && type === "P" && data.includes("seclog_advance");

/** The message with which a batch is committed, and the server's word that it was. */
export const isCommit = ({ from, type, data }) =>
  from === "client" && type === "Q" && data.latin1Slice(5) === "COMMIT\0";
export const isCommitted = ({ from, type, data }) => from === "server" && type === "C" && data.includes("COMMIT");

/** So many events wait to be stored that the application never waits for one. */
export const STORED = { wait: "stored", inFlight: 1_000_000 };

/** What is told to be stored is in the table, at any moment. */
export async function expectStored(world, expect, when) {
  const told = await world.acknowledged();
  const rows = await world.query("SELECT data->>'key' AS key FROM security_event_log WHERE category <> 'log'");
  const stored = new Set(rows.map(({ key }) => key));
  const early = told.filter((key) => !stored.has(key)).length;
  expect(early === 0, `${when}: ${early} events were told to be stored and were not`);
}

/**
 * A stretch of an application's life in which its event loop is measured: from now on until `work` has resolved, and
 * `atLeast` milliseconds.
 *
 * @returns {Promise<{ ms: number, longest: number, long: number }>} milliseconds, the longest stall, and how many were long
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
 * The application's requests must not feel its database's troubles: beside a healthy stretch of the same run, since the machine
 * may be busy with other things, and those make long stalls, too. Whatever stalls at each failure does it more often.
 */
export function expectNoStalls(expect, note, what, healthy, troubled) {
  const most = 1 + Math.ceil((2 * healthy.long * troubled.ms) / healthy.ms);
  const told = ({ long, longest, ms }) =>
    `${long} in ${(ms / 1_000).toFixed(0)} s, the longest ${longest.toFixed(0)} ms`;
  const stalls = `long stalls of the event loop (250 ms and more): ${told(healthy)}, when healthy; ${told(troubled)}, ${what}`;
  const isBounded = troubled.longest < Math.max(1_000, 3 * healthy.longest);
  expect(troubled.long <= most && isBounded, stalls);
  note(stalls);
}
