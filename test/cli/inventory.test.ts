import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { LONG, programOf } from "../support/program.ts";
import { seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
const { seclog } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => await database[Symbol.asyncDispose]());

describe("seclog inventory", LONG, () => {
  it("lists types, storage, logins, retention and seals, as the database has them", async () => {
    await seclog(["retention", "authn=long"]);
    const { code, stdout } = await seclog(["inventory", "--json"]);
    expect(code).toBe(0);
    const found = JSON.parse(stdout);
    expect(found.types).toContainEqual(
      expect.objectContaining({ type: "authz_fail", category: "test", catalogued: true, loggers: ["security"] }),
    );
    expect(found.logins.map(({ may }: { may: string[] }) => may)).toEqual(
      expect.arrayContaining([["writer"], ["reader"], ["sealer"], ["superuser"]]),
    );
    expect(found).toMatchObject({ retention: [{ category: "authn", class: "long" }], holds: 0, sealed: null });
    expect(found.database.bytes).toBeGreaterThan(0);
  });

  it("writes a page of Markdown without what a row could do to a terminal or a table", async () => {
    const { code, stdout, stderr } = await seclog(["inventory"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^# Inventory of the security event log\n/);
    expect(stdout).toMatch(/^\| authz_fail \| test \| \d+ \|/m);
    expect(stdout).toMatch(/^\| .*writer.* \| add events \|$/m);
    expect(stdout).toContain("Nothing is sealed");
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
  });
});
