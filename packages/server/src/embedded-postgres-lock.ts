import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { link, readFile, readlink, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { EmbeddedPostgresError } from "./embedded-postgres-runtime.ts";

/** The right to use a data folder; `release` gives it up and never throws. */
export interface DirectoryLock {
  release(): void;
}

/** A server whose owner was killed stops by itself; a large checkpoint may take it this long. */
const ORPHAN_DEADLINE_MS = 60_000;

/**
 * Takes `directory` for this process. A lock whose process is gone is taken over, and the server that it may have
 * left is stopped first.
 *
 * @throws EmbeddedPostgresError when a living process has it.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const file = join(directory, "owner.lock");
  const mine = `${process.pid} ${startTime(process.pid)}\n`;
  const candidate = `${file}.${process.pid}`;
  await writeFile(candidate, mine, { mode: 0o600 });
  try {
    while (!(await linked(candidate, file))) {
      const text = await readFile(file, "utf8").catch(() => "");
      if (isAlive(text)) throw inUse(directory, text);
      // Moved aside rather than removed: if another process replaced it since it was read, it is put back.
      const aside = `${candidate}.stale`;
      if (
        await rename(file, aside).then(
          () => true,
          () => false,
        )
      ) {
        const moved = await readFile(aside, "utf8");
        if (moved !== text) await rename(aside, file);
        else await rm(aside, { force: true });
      }
    }
  } finally {
    await rm(candidate, { force: true });
  }
  const release = (): void => {
    try {
      if (readFileSync(file, "utf8") === mine) rmSync(file);
    } catch {
      // Gone already, with the folder or by hand.
    }
  };
  try {
    await stopOrphan(join(directory, "pgdata"));
  } catch (error) {
    release();
    throw error;
  }
  return { release };
}

/** `link` makes the lock and its content appear at once, or not at all. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function inUse(directory: string, owner: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `the data directory ${directory} is in use by process ${Number.parseInt(owner, 10)}: stop it first, or choose another directory (SECLOG_DATA_DIR)`,
  );
}

function isAlive(owner: string): boolean {
  const [pid = "", started = ""] = owner.trim().split(" ");
  if (!/^[1-9]\d*$/.test(pid)) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  // The same number with another start time is another process.
  return startTime(Number(pid)) === started;
}

/** When a process began, in clock ticks since boot; empty where it has ended or the system does not tell. */
function startTime(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // One that has ended keeps its number until its parent asks for it, which in a container may be never.
    return /[ZX]/.test(fields[0] ?? "") ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
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

/** Whether `pid` is a process by the name of `postgres` that has not ended. */
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
