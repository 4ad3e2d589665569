/**
 * What the test files of a run share: a folder for packed packages (`test/support/pack.ts`), and one PostgreSQL, started
 * by the first test that needs it. `test/support/postgres.ts` connects to a small server here, which responds with the
 * administrator's URL. Runs without such tests pay nothing.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../packages/demo/src/embedded-postgres.ts";
import { setupDatabase } from "../../packages/seclog/src/postgres/schema/setup.ts";

const TEMPLATE_DATABASE = "seclog_test_template";

declare module "vitest" {
  interface ProvidedContext {
    /** Responds with the administrator's URL. */
    readonly postgresBroker: string;
    /** A database with Seclog's tables and without connections: every test's database is copied from it. */
    readonly templateDatabase: string;
    /** A folder for the tarballs of our packages, each packed by the first test that installs it. */
    readonly tarballs: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), "seclog-test-postgres-"));
  let postgres: Promise<EmbeddedPostgres> | undefined;
  const server = createServer((_request, response) => {
    postgres ??= start(directory);
    postgres.then(
      ({ url }) => response.end(url),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const tarballs = await mkdtemp(join(tmpdir(), "seclog-test-tarballs-"));
  project.provide("tarballs", tarballs);
  project.provide("templateDatabase", TEMPLATE_DATABASE);
  project.provide("postgresBroker", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return async () => {
    server.close();
    await (await postgres?.catch(() => undefined))?.stop();
    for (const folder of [directory, tarballs]) await rm(folder, { recursive: true, force: true });
  };
}

/** Prepares the template: a copy of it takes a third of the time that setting up another database does. */
async function start(directory: string): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ directory, durable: false, settings: { max_connections: "60" } });
  await setupDatabase({ adminUrl: postgres.url, database: TEMPLATE_DATABASE });
  return postgres;
}
