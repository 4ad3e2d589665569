/**
 * Who this thread is, for others to find out whether it still lives, and what can be found out of another one.
 *
 * The kernel of Linux tells it in /proc, to whoever shares the PID namespace. Where it does not (another container, machine or
 * boot, no /proc, a hidden one), nothing is claimed: two containers may have the same host name and the same pid, and a pid
 * alone may be another process's by now.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { isMainThread } from "node:worker_threads";
import { isErrno } from "./fs.ts";

/** A thread, exactly enough that no later one is the same. */
export interface ThreadIdentity {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (`/proc/<pid>/stat` field 22); absent where that is not told. */
  readonly start?: string;
  /** The kernel's number of the thread and its start time; absent of a process's first thread, with which it ends. */
  readonly thread?: { readonly id: number; readonly start: string };
  /** The kernel's boot id. */
  readonly boot?: string;
  /** PID namespace and host: whoever differs here cannot look us up. */
  readonly space: string;
}

/** What is known of a thread: of one that is `unknown` others must judge by the file that it renews. */
export type Life = "lives" | "dead" | "unknown";

/** What the operating system tells of processes: a parameter, so that a test can have less of it. */
export interface Processes {
  /** @throws the operating system's error when it cannot be read now */
  self(): ThreadIdentity;
  look(thread: ThreadIdentity): Life;
}

let self: ThreadIdentity | undefined;

/** Those of this machine. */
export const hostProcesses: Processes = {
  self: () => {
    self ??= identify();
    return self;
  },
  look: (thread) => {
    const { space, boot } = hostProcesses.self();
    const comparable = boot !== undefined && thread.boot === boot && thread.space === space;
    return comparable && thread.start !== undefined ? lookUp(thread) : "unknown";
  },
};

function identify(): ThreadIdentity {
  // A /proc of another namespace would tell of somebody else.
  const own = ifTold(() => readlinkSync("/proc/self")) === `${process.pid}`;
  const namespace = own ? ifTold(() => readlinkSync("/proc/self/ns/pid")) : undefined;
  const space = `${hostname()} ${namespace ?? process.platform}`;
  const start = namespace === undefined ? undefined : ifTold(() => startTime(`/proc/${process.pid}`));
  const boot = ifTold(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const unknown: ThreadIdentity = { pid: process.pid, space };
  if (start === undefined || boot === undefined) return unknown;
  if (isMainThread) return { ...unknown, start, boot };
  const thread = ifTold(thisThread);
  return thread === undefined ? unknown : { ...unknown, start, boot, thread };
}

/** The calling thread: what is read synchronously, this one reads. */
function thisThread(): { readonly id: number; readonly start: string } | undefined {
  const path = readlinkSync("/proc/thread-self");
  const start = startTime(`/proc/${path}`);
  return start === undefined ? undefined : { id: Number(path.split("/").at(-1)), start };
}

function lookUp({ pid, start, thread }: ThreadIdentity): Life {
  try {
    if (startTime(`/proc/${pid}`) !== start) return "dead";
  } catch (error) {
    if (!isGone(error)) return isUntold(error) ? "unknown" : "lives";
    // With hidepid= the processes of others are not in /proc, and one's own neither when they may not be traced.
    return exists(pid) ? "unknown" : "dead";
  }
  if (thread === undefined) return "lives";
  try {
    return startTime(`/proc/${pid}/task/${thread.id}`) === thread.start ? "lives" : "dead";
  } catch (error) {
    if (isGone(error)) return "dead";
    return isUntold(error) ? "unknown" : "lives";
  }
}

/**
 * Field 22 of `stat`, read behind the last parenthesis because a process may have one in its name; `undefined` for a zombie,
 * which has ended, and only its parent has not looked yet.
 *
 * @throws `ENOENT` or `ESRCH` when there is no such process or thread, another error when that cannot be told
 */
function startTime(folder: string): string | undefined {
  const stat = readFileSync(`${folder}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !isErrno(error, "ESRCH");
  }
}

function isGone(error: unknown): boolean {
  return isErrno(error, "ENOENT") || isErrno(error, "ESRCH");
}

/** What is not told now or ever, unlike what cannot be read at the moment (no descriptors). */
function isUntold(error: unknown): boolean {
  return ["ENOTDIR", "EACCES", "EPERM", "ERR_ACCESS_DENIED"].some((code) => isErrno(error, code));
}

/** What the operating system tells; `undefined` where it has no such file, or keeps it to itself. */
function ifTold<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error) || isUntold(error)) return undefined;
    throw error;
  }
}
