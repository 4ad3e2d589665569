import pg from "pg";
import { expect, it } from "vitest";
import { createTestDatabase, postgresUrl } from "./support/postgres.ts";

it("createTestDatabase() - fails a test that leaves a session open, names it, and still drops the database", async () => {
  const database = await createTestDatabase(100);
  const leaked = new pg.Client({ connectionString: database.writerUrl, application_name: "a forgotten client" });
  leaked.on("error", () => {});
  await leaked.connect();
  await leaked.query("SELECT 'the last statement'");
  await expect(database[Symbol.asyncDispose]()).rejects.toThrow(
    `sessions left open in ${database.name}: a forgotten client (${new URL(database.writerUrl).username}, idle: SELECT 'the last statement'`,
  );
  const client = new pg.Client({ connectionString: await postgresUrl() });
  await client.connect();
  const { rows } = await client.query("SELECT FROM pg_database WHERE datname = $1", [database.name]);
  await client.end();
  expect(rows).toEqual([]);
});
