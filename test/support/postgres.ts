/** A fresh database with Seclog's tables for a test file, on the run's one real PostgreSQL. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { inject } from "vitest";
import { setupDatabase } from "../../packages/seclog/src/postgres/schema/setup.ts";

/** A test file's own database. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** As the superuser, to the server's database `postgres`. */
  readonly serverUrl: string;
  /** As the superuser, to this database. */
  readonly adminUrl: string;
  readonly writerUrl: string;
  readonly readerUrl: string;
  readonly sealerUrl: string;
  readonly relayUrl: string;
  readonly consoleUrl: string;
  /** Runs a statement as the superuser. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Drops it and its login roles. Rejects afterwards if a session was left open: the test has leaked it. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The administrator's URL of the run's PostgreSQL, which the first call starts. */
export async function postgresUrl(): Promise<string> {
  const answer = await fetch(inject("postgresBroker"));
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}

/** How long a server may take to notice that a client has gone, such as one killed in the middle of a statement. */
const GOODBYE_MS = 5_000;

/** Sets up a database of its own name, with a writer and a reader. @param goodbyeMs see {@link GOODBYE_MS} */
export async function createTestDatabase(goodbyeMs: number = GOODBYE_MS): Promise<TestDatabase> {
  const serverUrl = await postgresUrl();
  const suffix = randomBytes(5).toString("hex");
  const name = `seclog_test_${suffix}`;
  const urlOf = (user: string, password: string): string => {
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    url.username = user;
    url.password = password;
    return url.href;
  };
  const writerUrl = urlOf(`writer_${suffix}`, randomBytes(9).toString("hex"));
  const readerUrl = urlOf(`reader_${suffix}`, randomBytes(9).toString("hex"));
  const sealerUrl = urlOf(`sealer_${suffix}`, randomBytes(9).toString("hex"));
  const relayUrl = urlOf(`relay_${suffix}`, randomBytes(9).toString("hex"));
  const consoleUrl = urlOf(`console_${suffix}`, randomBytes(9).toString("hex"));
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${name} TEMPLATE ${inject("templateDatabase")}`);
  await client.end();
  await setupDatabase({ adminUrl: serverUrl, writerUrl, readerUrl, sealerUrl, relayUrl, consoleUrl });
  const server = new URL(serverUrl);
  const adminUrl = urlOf(server.username, server.password);
  const admin = new pg.Pool({ connectionString: adminUrl, max: 2 });
  admin.on("error", () => {});
  return {
    name,
    serverUrl,
    adminUrl,
    writerUrl,
    readerUrl,
    sealerUrl,
    relayUrl,
    consoleUrl,
    async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
      return (await admin.query<Row>(text, values)).rows;
    },
    async [Symbol.asyncDispose]() {
      await admin.end();
      const client = new pg.Client({ connectionString: serverUrl });
      await client.connect();
      const leaked = await sessionsLeft(client, name, goodbyeMs);
      // DROP would wait five seconds for connections that are ending, and then fail.
      await client.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
      const others = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;
      while ((await client.query(others)).rows.length > 0) await sleep(20);
      await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await client.query(
        `DROP ROLE writer_${suffix}, reader_${suffix}, sealer_${suffix}, relay_${suffix}, console_${suffix}`,
      );
      await client.end();
      if (leaked.length > 0) throw new Error(`sessions left open in ${name}: ${leaked.join("; ")}`);
    },
  };
}

/** The sessions that a database still has after so many milliseconds, each by its application's name and last statement. */
async function sessionsLeft(client: pg.Client, database: string, goodbyeMs: number): Promise<readonly string[]> {
  const text = `SELECT format('%s (%s, %s: %s)', coalesce(nullif(application_name, ''), 'unnamed'), usename, state,
    left(query, 80)) AS session FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`;
  for (const end = performance.now() + goodbyeMs; ; await sleep(20)) {
    const { rows } = await client.query<{ session: string }>(text, [database]);
    if (rows.length === 0 || performance.now() > end) return rows.map(({ session }) => session);
  }
}
