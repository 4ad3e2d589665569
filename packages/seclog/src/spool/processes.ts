/**
 * This thread's identity, from which others determine whether it is alive, and what can be determined about another
 * thread.
 *
 * Linux shows it in /proc, to processes in the same PID namespace. Elsewhere (another container, machine or boot, no
 * /proc, a hidden one), nothing is claimed: two containers may have the same host name and pid, and a pid alone may
 * have been reused.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { isMainThread } from "node:worker_threads";
import { isErrno } from "./fs.ts";

/** A thread, exact enough that no later one is the same. */
export interface ThreadIdentity {
  readonly pid: number;
  /**
   * The process's start time in clock ticks since boot (`/proc/<pid>/stat` field 22); absent where it is not available.
   */
  readonly start?: string;
  /** The kernel's thread id and start time; absent for a process's first thread, which ends with the process. */
  readonly thread?: { readonly id: number; readonly start: string };
  /** The kernel's boot id. */
  readonly boot?: string;
  /** PID namespace and host: processes with another value cannot look us up. */
  readonly space: string;
}

/** What is known of a thread; an `unknown` one must be judged by the file that it renews. */
export type Life = "lives" | "dead" | "unknown";

/** What the operating system shows of processes: a parameter, so that a test can have less of it. */
export interface Processes {
  /** @throws the operating system's error when it cannot be read now */
  self(): ThreadIdentity;
  look(thread: ThreadIdentity): Life;
}

let self: ThreadIdentity | undefined;

/** The operating system of this machine. */
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
  // A /proc of another namespace would show another process.
  const own = ifAvailable(() => readlinkSync("/proc/self")) === `${process.pid}`;
  const namespace = own ? ifAvailable(() => readlinkSync("/proc/self/ns/pid")) : undefined;
  const space = `${hostname()} ${namespace ?? process.platform}`;
  const start = namespace === undefined ? undefined : ifAvailable(() => startTime(`/proc/${process.pid}`));
  const boot = ifAvailable(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const unknown: ThreadIdentity = { pid: process.pid, space };
  if (start === undefined || boot === undefined) return unknown;
  if (isMainThread) return { ...unknown, start, boot };
  const thread = ifAvailable(thisThread);
  return thread === undefined ? unknown : { ...unknown, start, boot, thread };
}

/** The calling thread: synchronous reads happen on it. */
function thisThread(): { readonly id: number; readonly start: string } | undefined {
  const path = readlinkSync("/proc/thread-self");
  const start = startTime(`/proc/${path}`);
  return start === undefined ? undefined : { id: Number(path.split("/").at(-1)), start };
}

function lookUp({ pid, start, thread }: ThreadIdentity): Life {
  try {
    if (startTime(`/proc/${pid}`) !== start) return "dead";
  } catch (error) {
    if (!isGone(error)) return isUnavailable(error) ? "unknown" : "lives";
    // With hidepid= other users' processes are not in /proc, nor one's own when they may not be traced.
    return exists(pid) ? "unknown" : "dead";
  }
  if (thread === undefined) return "lives";
  try {
    return startTime(`/proc/${pid}/task/${thread.id}`) === thread.start ? "lives" : "dead";
  } catch (error) {
    if (isGone(error)) return "dead";
    return isUnavailable(error) ? "unknown" : "lives";
  }
}

/**
 * Field 22 of `stat`, read after the last parenthesis because a process may have one in its name; `undefined` for a
 * zombie, which has ended and waits for its parent.
 *
 * @throws `ENOENT` or `ESRCH` when the process or thread does not exist, another error when that cannot be determined
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

/** An error that stays, unlike one that may pass (no descriptors). */
function isUnavailable(error: unknown): boolean {
  return ["ENOTDIR", "EACCES", "EPERM", "ERR_ACCESS_DENIED"].some((code) => isErrno(error, code));
}

/** Returns what the operating system shows; `undefined` where it has no such file, or hides it. */
function ifAvailable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error) || isUnavailable(error)) return undefined;
    throw error;
  }
}
