/** Setup by a program older than the schema: it leaves alone what it does not know. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { setupDatabase } from "./setup.ts";
import { setupSql } from "./setup-sql.ts";

/** A later, compatible migration. */
const NEWER = `
  CREATE TABLE public.security_event_newer (id integer);
  ALTER TABLE public.security_event_newer OWNER TO seclog_owner;
  GRANT SELECT ON public.security_event_newer TO seclog_reader;
  INSERT INTO public.seclog_migration VALUES (9999, '9999-newer.sql', false, '');`;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(NEWER);
});

afterAll(() => database[Symbol.asyncDispose]());

async function readerMayRead(): Promise<boolean> {
  const [row] = await database.query<{ may: boolean }>(
    "SELECT has_table_privilege('seclog_reader', 'public.security_event_newer', 'SELECT') AS may",
  );
  return row?.may ?? false;
}

it("setupDatabase() - warns, and revokes no privilege that it does not know", async () => {
  const { warnings } = await setupDatabase({ adminUrl: database.serverUrl, database: database.name });
  expect(warnings).toEqual([
    expect.stringMatching(/newer seclog \(migration 9999, .*privileges and triggers were left/),
  ]);
  expect(await readerMayRead()).toBe(true);
});

it("setupSql() - does the same, and its guard lets a schema of its own pass", async (context) => {
  const { name } = database;
  const script = setupSql({ database: name, writer: `w_${name}`, reader: `r_${name}`, sealer: `s_${name}` });
  const run = (): ReturnType<typeof spawnSync> =>
    spawnSync("psql", ["--quiet", "--no-psqlrc", "--dbname", database.serverUrl], { input: script, encoding: "utf8" });
  const first = run();
  if (first.error !== undefined) context.skip("no psql on this machine");
  try {
    expect(first.status, String(first.stderr)).toBe(0);
    expect(first.stderr).toMatch(/warning: .*newer seclog/);
    expect(await readerMayRead()).toBe(true);
    await database.query("DELETE FROM public.seclog_migration WHERE id = 9999");
    const second = run();
    expect(second.status, String(second.stderr)).toBe(0);
    expect(second.stderr).not.toContain("warning");
    expect(await readerMayRead()).toBe(false);
  } finally {
    await database.query(`DROP ROLE "w_${name}", "r_${name}", "s_${name}"`);
  }
});
