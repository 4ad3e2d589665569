/** Relays in processes of their own that store one source at once, one of them killed on the way. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { collect, eventually, LONG } from "./support/program.ts";

const PROGRAM = fileURLToPath(new URL("./support/relay-process.js", import.meta.url));
const SOURCE = "01936d2f-5c00-7000-8000-000000000001";
const TOTAL = 8_000;

let database: TestDatabase;
let children: ChildProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
});
afterAll(() => database[Symbol.asyncDispose]());

function start(): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, SOURCE, String(TOTAL), "50"], {
    env: { PATH: process.env["PATH"], SECLOG_RELAY_URL: database.relayUrl },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

it(
  "two processes - store overlapping and repeated messages of a source, each event once, though one is killed",
  LONG,
  async () => {
    const killed = start();
    const steady = start();
    const before = collect(killed.stdout);
    const output = collect(steady.stdout);
    await eventually(() => before().split("\n").length > 5 && output().split("\n").length > 5, "both store");
    const gone = once(killed, "exit");
    killed.kill("SIGKILL");
    expect(await gone).toEqual([null, "SIGKILL"]);
    const another = start();
    const later = collect(another.stdout);
    const ends = [steady, another].map((child) => once(child, "close"));
    for (const end of ends) expect(await end).toEqual([0, null]);
    expect([output(), later()]).toEqual([expect.stringMatching(/done\n$/), expect.stringMatching(/done\n$/)]);
    const [row] = await database.query(
      `SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS numbers, max(seq)::int AS last,
        (SELECT last_seq::int FROM security_event_source WHERE id = $1) AS position FROM security_event_log WHERE source_id = $1`,
      [SOURCE],
    );
    expect(row).toEqual({ rows: TOTAL, numbers: TOTAL, last: TOTAL, position: TOTAL });
  },
);
