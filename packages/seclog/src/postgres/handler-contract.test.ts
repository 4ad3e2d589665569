import { afterAll, beforeAll, describe, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { encodeEvent } from "../event/encode.ts";
import { handlerContract } from "../testing/handler-contract.ts";
import { postgresHandler } from "./handler.ts";
import { EVENT_SELECT, rowToEvent } from "./rows.ts";

describe("postgresHandler() - keeps the handler contract", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const cases = handlerContract({
    open: async () => ({
      create: () => postgresHandler({ url: database.writerUrl }),
      storedSeqs: async (sourceId) => {
        const rows = await database.query<{ seq: string }>(
          "SELECT seq FROM security_event_log WHERE source_id = $1 ORDER BY seq",
          [sourceId],
        );
        return rows.map(({ seq }) => Number(seq));
      },
      storedRecord: async (sourceId, seq) => {
        const [row] = await database.query(
          `SELECT ${EVENT_SELECT} FROM security_event_log WHERE source_id = $1 AND seq = $2`,
          [sourceId, seq],
        );
        return row && Buffer.from(encodeEvent(rowToEvent(row)));
      },
    }),
  });
  for (const { title, run } of cases) it(title, run);
});
