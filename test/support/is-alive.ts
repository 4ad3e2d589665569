import { readFileSync } from "node:fs";

/** Whether a process runs. A zombie, which has ended and is only still listed, does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
