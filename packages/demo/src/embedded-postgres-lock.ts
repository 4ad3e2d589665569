/** Keeps a second process out of an embedded PostgreSQL's folder, and stops a server that a dead one left. */
import { execFile } from "node:child_process";
import { readFile, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type FolderLock, lockFolder } from "@seclog/server/for-demo/folders";
import { EmbeddedPostgresError } from "./embedded-postgres-runtime.ts";

/** A server whose owner was killed stops by itself; a large checkpoint may take it this long. */
const ORPHAN_DEADLINE_MS = 60_000;

/**
 * Takes `directory` for this process. A lock whose process is gone is taken over, after stopping the server that it may
 * have left.
 *
 * @throws EmbeddedPostgresError when a living process holds it.
 */
export async function lockDirectory(directory: string): Promise<FolderLock> {
  const lock = await lockFolder(
    directory,
    (pid) =>
      new EmbeddedPostgresError(
        `the data directory ${directory} is in use by process ${pid}: stop it first, or choose another directory (SECLOG_DATA_DIR)`,
      ),
  );
  try {
    await stopOrphan(join(directory, "pgdata"));
  } catch (error) {
    lock.release();
    throw error;
  }
  return lock;
}

async function stopOrphan(pgdata: string): Promise<void> {
  const text = await readFile(join(pgdata, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number.parseInt(text, 10);
  const deadline = Date.now() + ORPHAN_DEADLINE_MS;
  for (let first = true; Number.isSafeInteger(pid) && (await isServerOf(pid, pgdata)); first = false) {
    if (first) process.kill(pid, "SIGINT");
    if (Date.now() > deadline) {
      throw new EmbeddedPostgresError(`PostgreSQL (process ${pid}) still runs on ${pgdata}: stop it, then start again`);
    }
    await sleep(50);
  }
}

async function isServerOf(pid: number, pgdata: string): Promise<boolean> {
  if (!(await isRunningPostgres(pid))) return false;
  if (process.platform !== "linux") return true;
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
  return cwd === (await realpath(pgdata));
}

/** Whether `pid` is a process named `postgres` that has not ended. */
export async function isRunningPostgres(pid: number): Promise<boolean> {
  try {
    if (process.platform === "linux") {
      const text = await readFile(`/proc/${pid}/stat`, "latin1");
      return text.slice(text.indexOf("(") + 1, text.lastIndexOf(")")) === "postgres" && !/\) [ZX] /.test(text);
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "comm=", "-p", String(pid)]);
    return stdout.trim().endsWith("postgres");
  } catch {
    return false;
  }
}
