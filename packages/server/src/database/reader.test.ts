import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresProxy } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { openReader } from "./reader.ts";

let server: TestDatabase;

beforeAll(async () => {
  server = await createTestDatabase();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe("openReader()", () => {
  it("refuses writes whatever the role may do, and cancels a long statement", async () => {
    const powerful = openReader(300, server.adminUrl);
    const coded = (text: string) => ({ code: "SECLOG_DATABASE", message: expect.stringContaining(text) });
    try {
      await expect(powerful.deleteFrom("security_event_source").execute()).rejects.toMatchObject(
        coded("read-only transaction"),
      );
      const slow = powerful.selectNoFrom((eb) => eb.fn("pg_sleep", [eb.val(60)]).as("slept"));
      await expect(slow.execute()).rejects.toMatchObject(coded("statement timeout"));
    } finally {
      await powerful.destroy();
    }
  });

  it.each(["a statement", "BEGIN ISOLATION LEVEL"])(
    "a connection that is lost in %s fails that statement, and neither the process nor the next one",
    async (what) => {
      await using proxy = await PostgresProxy.start(Number(new URL(server.readerUrl).port));
      const reader = openReader(undefined, proxy.through(server.readerUrl));
      const ask = () => reader.selectNoFrom((eb) => eb.val(1).as("a statement")).execute();
      try {
        for (const how of ["reset", "end"] as const) {
          if (what === "a statement") await ask();
          proxy.trap = ({ data }) => (data.includes(what) ? { how, pass: 0 } : undefined);
          await expect(ask()).rejects.toThrow(/terminated|ECONNRESET/);
          proxy.trap = undefined;
        }
        expect(await ask()).toHaveLength(1);
      } finally {
        await reader.destroy();
      }
    },
  );
});
