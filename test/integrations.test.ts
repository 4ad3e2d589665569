/** The statements of docs/integrations/grafana.md run, as the reader, with Grafana's macros in their simplest form. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { createTestDatabase } from "./support/postgres.ts";
import { seedLog } from "./support/seeded-log.ts";

it("docs/integrations/grafana.md - has statements that the reader may run", async () => {
  await using database = await createTestDatabase();
  await seedLog(database);
  const page = readFileSync(join(root, "docs/integrations/grafana.md"), "utf8");
  const statements = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = ""]) => sql);
  expect(statements).toHaveLength(3);
  const client = new pg.Client({ connectionString: database.readerUrl });
  await client.connect();
  try {
    for (const sql of statements) {
      const { rows } = await client.query(
        sql
          .replaceAll("$__timeGroupAlias(occurred_at, $__interval)", "date_trunc('minute', occurred_at) AS time")
          .replaceAll("$__timeFilter(occurred_at)", "occurred_at > now() - interval '1 hour'"),
      );
      expect(rows.length).toBeGreaterThan(0);
    }
  } finally {
    await client.end();
  }
});
