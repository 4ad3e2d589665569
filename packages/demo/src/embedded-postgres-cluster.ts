/** The data of an embedded PostgreSQL: created once by `initdb`, with its password, and of one major version. */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Account,
  CHILD_ENVIRONMENT,
  cannotRun,
  EmbeddedPostgresError,
  lastWords,
  seenBy,
} from "./embedded-postgres-runtime.ts";

/** The superuser's password: the kept one, or a new one for a new cluster. */
export async function keepPassword(file: string, clusterExists: boolean): Promise<string> {
  const kept = await readFile(file, "utf8").catch(() => "");
  if (kept.trim() !== "") return kept.trim();
  if (clusterExists) {
    throw new EmbeddedPostgresError(
      `the password file ${file} is missing but its database exists: put it back, or remove the whole folder to start anew`,
    );
  }
  const password = randomBytes(24).toString("hex");
  await writeFile(file, `${password}\n`, { mode: 0o600, flush: true });
  await chmod(file, 0o600);
  return password;
}

/** @throws EmbeddedPostgresError when the programs are of another major version than the data */
export async function checkVersion(pgdata: string, major: string): Promise<void> {
  const found = (await readFile(join(pgdata, "PG_VERSION"), "utf8")).trim();
  if (found !== major) {
    throw new EmbeddedPostgresError(
      `the data in ${pgdata} is of PostgreSQL ${found}, the installed binaries are ${major}: choose another data directory (SECLOG_DATA_DIR), or dump and restore with PostgreSQL ${found}`,
    );
  }
}

interface Initialise {
  readonly initdb: string;
  readonly major: string;
  readonly account: Account | undefined;
  readonly password: string;
  readonly durable: boolean | undefined;
}

/** Makes the cluster in `pgdata`, completely or not at all. */
export async function initialise(directory: string, pgdata: string, with_: Initialise): Promise<void> {
  const { account } = with_;
  const unfinished = `${pgdata}.new`;
  const passwordFile = join(directory, `.initdb-${process.pid}`);
  await rm(unfinished, { recursive: true, force: true });
  await rm(pgdata, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, `${with_.password}\n`, { mode: 0o600 });
  const handles = [await open(unfinished, "r"), await open(passwordFile, "r")];
  try {
    if (account !== undefined) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    const { code, output } = await run(
      with_.initdb,
      [
        `--pgdata=${seenBy(account, unfinished, 3)}`,
        `--pwfile=${seenBy(account, passwordFile, 4)}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        // Needs no locale of the machine and sorts the same everywhere.
        "--locale=C",
        ...(Number(with_.major) >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : []),
        "--no-instructions",
        ...(with_.durable === false ? ["--no-sync"] : []),
      ],
      account,
      handles.map((handle) => handle.fd),
    );
    if (code !== 0) {
      throw new EmbeddedPostgresError(`initdb could not make a database in ${pgdata}: ${lastWords(output)}`);
    }
  } finally {
    for (const handle of handles) await handle.close();
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, pgdata);
}

async function run(
  command: string,
  args: readonly string[],
  account: Account | undefined,
  descriptors: readonly number[],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, {
    ...account,
    cwd: "/",
    env: CHILD_ENVIRONMENT,
    stdio: ["ignore", "ignore", "pipe", ...descriptors],
  });
  let output = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  });
  const code = await new Promise<number | null>((done, failed) => {
    child.once("error", (error) => failed(cannotRun(command, error)));
    child.once("close", done);
  });
  return { code, output };
}
