import { readFileSync, rmSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Exclusive use of a folder. `release` never throws. */
export interface FolderLock {
  release(): void;
}

/**
 * Locks a folder for this process, with the file `owner.lock` in it, and takes over a lock whose process has ended. It
 * cannot separate processes that do not see each other, as in two containers on one volume.
 *
 * @param inUse creates the error for a folder that the running process `pid` has locked
 */
export async function lockFolder(directory: string, inUse: (pid: number) => Error): Promise<FolderLock> {
  const file = join(directory, "owner.lock");
  const mine = `${process.pid} ${startTime(process.pid)}\n`;
  const candidate = `${file}.${process.pid}`;
  await writeFile(candidate, mine, { mode: 0o600 });
  try {
    while (!(await linked(candidate, file))) {
      const text = await readFile(file, "utf8").catch(() => "");
      if (isAlive(text)) throw inUse(Number.parseInt(text, 10));
      // Moved aside, not removed: if another process has replaced the lock since we read it, we put it back.
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
  return {
    release() {
      try {
        if (readFileSync(file, "utf8") === mine) rmSync(file);
      } catch {
        // Already removed, with the folder or by hand.
      }
    },
  };
}

/** `link` creates the lock with its content in one step, or not at all. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
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

/** When a process started, in clock ticks since boot; empty if it has ended or the system does not say. */
function startTime(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // A zombie keeps its number until its parent reaps it, which in a container may be never.
    return /[ZX]/.test(fields[0] ?? "") ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
