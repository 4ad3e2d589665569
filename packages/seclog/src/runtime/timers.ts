/**
 * Node's own timers and clocks. An application's test may replace them with fakes that stand still, and the log
 * with them: `durable` would never settle, and a spool would look abandoned. What is bound here when the library is
 * loaded, later replacements do not reach. The linter makes the rest of the library use this file.
 */
import { performance } from "node:perf_hooks";

export { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "node:timers";
export { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** `process.nextTick`, unless it had been replaced when this was loaded. */
export const nextTick: typeof process.nextTick = process.nextTick;

/** `queueMicrotask`, unless it had been replaced when this was loaded. */
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;

/** From the prototype, since fakes replace `performance.now` on the object. */
const { now } = Object.getPrototypeOf(performance) as Pick<typeof performance, "now">;

/** Milliseconds of the monotonic clock, with a fraction. */
export function monotonicNow(): number {
  return now.call(performance);
}

/** Node's is native code; a fake that was installed before this was loaded would be as wrong as the timers. */
const wall = /\[native code\]/.test(Function.prototype.toString.call(Date.now)) ? Date.now : undefined;

/** Milliseconds since the Unix epoch, even if an application's test has set another date. */
export function wallNow(): number {
  return wall?.() ?? Math.floor(performance.timeOrigin + monotonicNow());
}
