/** A PostgreSQL of a test's own, of any version, with logs that the program itself sets up. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbeddedPostgres } from "../../packages/demo/src/embedded-postgres.ts";
import type { ProgramUrls } from "./program.ts";

/** Debian's newest installation with server and client programs; `undefined` without one. */
export const debianPostgres: string | undefined = newestOf("/usr/lib/postgresql");

function newestOf(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(folder, version))
    .find((root) =>
      ["postgres", "initdb", "pg_dump", "pg_restore"].every((name) => existsSync(join(root, "bin", name))),
    );
}

/** A running server. */
export interface OwnPostgres extends AsyncDisposable {
  /** The superuser's URL of a database. */
  urlOf(database: string): string;
  /** The URLs of a log, whose login roles are the same in every database. */
  logOf(database: string): ProgramUrls;
  /** Runs statements as the superuser, and returns the rows of the last one. */
  query(database: string, ...statements: string[]): Promise<Record<string, unknown>[]>;
}

/** Starts it, without fsync. @param binaries a folder with `bin/postgres` */
export async function startOwnPostgres(binaries: string): Promise<OwnPostgres> {
  const directory = mkdtempSync(join(tmpdir(), "seclog-test-own-postgres-"));
  const server = await startEmbeddedPostgres({ directory, binaries, durable: false });
  const urlOf = (database: string, user?: string): string => {
    const url = Object.assign(new URL(server.url), { pathname: `/${database}` });
    return (user === undefined ? url : Object.assign(url, { username: user, password: `${user}-password` })).href;
  };
  return {
    urlOf,
    logOf: (database) => ({
      serverUrl: server.url,
      writerUrl: urlOf(database, "own_writer"),
      readerUrl: urlOf(database, "own_reader"),
      sealerUrl: urlOf(database, "own_sealer"),
    }),
    async query(database, ...statements) {
      const client = new pg.Client({ connectionString: urlOf(database) });
      await client.connect();
      try {
        let rows: Record<string, unknown>[] = [];
        for (const statement of statements) rows = (await client.query(statement)).rows;
        return rows;
      } finally {
        await client.end();
      }
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
