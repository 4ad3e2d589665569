/** `seclog start` and `seclog rollup`: the built program, against a real PostgreSQL. */
import { once } from "node:events";
import { apiClient } from "@seclog/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, LONG, programOf } from "../support/program.ts";
import { seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe("seclog start", LONG, () => {
  it("serves the log to those who have its token, until it is stopped", async () => {
    const child = startProgram(["start", "--listen", "127.0.0.1:0", "--json"]);
    const stderr = collect(child.stderr);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const { listening, token } = JSON.parse(line.toString()) as { listening: string; token: string };
    const { events } = await apiClient({ url: listening, token }).events({ q: "actor:alice" });
    expect(events.map(({ seq }) => seq)).toEqual([3, 1]);
    await expect(apiClient({ url: listening, token: "x" }).sources()).rejects.toMatchObject({ status: 401 });
    // An open stream does not keep it running.
    const items = apiClient({ url: listening, token }).stream({});
    expect((await items.next()).value).toMatchObject({ kind: "ready" });
    child.kill("SIGTERM");
    const [code] = (await once(child, "close")) as [number];
    expect([code, stderr()]).toEqual([0, ""]);
  });

  it("takes the token from the environment, and refuses a short one and an address that others can reach", async () => {
    const short = await seclog(["start"], { SECLOG_API_TOKEN: "short" });
    expect([short.code, short.stderr]).toEqual([2, expect.stringContaining("SECLOG_API_TOKEN has fewer than 32")]);
    const open = await seclog(["start", "--listen", "0.0.0.0:0"]);
    expect([open.code, open.stderr]).toEqual([2, expect.stringMatching(/--listen 0\.0\.0\.0: .*loopback only/)]);
  });
});

describe("seclog rollup", LONG, () => {
  it("counts what is stored, and again from the start", async () => {
    const counted = async (...args: string[]): Promise<number> =>
      (JSON.parse((await seclog(["rollup", "--json", ...args])).stdout) as { counted: number }).counted;
    const first = await counted();
    expect(first).toBeGreaterThan(5);
    expect(await counted()).toBe(0);
    expect(await counted("--rebuild")).toBe(first);
    const [sum] = await database.query<{ events: number }>(
      "SELECT sum(events)::int AS events FROM security_event_rollup WHERE category = 'test'",
    );
    expect(sum).toEqual({ events: 6 });
  });
});
