import { describe, expect, it } from "vitest";
import { createTestDatabase } from "#test/support/postgres.ts";
import { Session, SessionPool } from "./session.ts";

it("Session.transaction() - overrides the time limits set for a role", async () => {
  await using server = await createTestDatabase();
  const role = new URL(server.readerUrl).username;
  const limits = await server.query<{ name: string }>(
    `SELECT name FROM pg_settings
      WHERE name IN ('transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')`,
  );
  for (const { name } of limits) await server.query(`ALTER ROLE ${role} SET ${name} = 200`);
  const session = await Session.open({ role: "reader", url: server.readerUrl, purpose: "test", access: "READ ONLY" });
  try {
    const rows = await session.transaction(async (client) => {
      await client.query("SELECT pg_sleep(0.4)");
      await new Promise((resolve) => setTimeout(resolve, 400));
      return (await client.query("SELECT 1 AS one")).rows;
    });
    expect(rows).toEqual([{ one: 1 }]);
  } finally {
    await session.end();
  }
});

describe("Session.open() and SessionPool.ready()", () => {
  it("refuse an unknown schema, except where any is accepted", async () => {
    await using server = await createTestDatabase();
    const options = { role: "reader", url: server.readerUrl, purpose: "test", access: "READ ONLY" } as const;
    const pool = new SessionPool(options, 1);
    try {
      await server.query("INSERT INTO seclog_migration VALUES (9999, 'later', true, '')");
      const newer = { code: "SECLOG_SCHEMA_NEWER" };
      await expect(Session.open(options)).rejects.toMatchObject(newer);
      await expect(pool.ready()).rejects.toMatchObject(newer);
      const any = await Session.open({ ...options, schema: "any" });
      await any.end();
      await server.query("DELETE FROM seclog_migration WHERE id = 9999");
      await pool.ready();
    } finally {
      await pool.end();
    }
  });
});
