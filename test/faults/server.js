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

/** The message with which a batch is committed, and the server's word that it was. */
export const isCommit = ({ from, data }) => from === "client" && data.includes("; COMMIT");
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
