/**
 * Timers and clocks as Node made them. A test of an application may put others in their place that stand still, and the log
 * would with them: `durable` would never settle, and a spool would look abandoned. What is bound here when the library is
 * loaded, later replacements do not reach. The linter holds the rest of the library to this file.
 */
import { performance } from "node:perf_hooks";

export { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "node:timers";
export { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** `process.nextTick`, unless it had been replaced when this was loaded. */
export const nextTick: typeof process.nextTick = process.nextTick;

/** `queueMicrotask`, unless it had been replaced when this was loaded. */
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;

/** Of the prototype, since `performance.now` is replaced on the object. */
const { now } = Object.getPrototypeOf(performance) as Pick<typeof performance, "now">;

/** Milliseconds of the monotonic clock, with a fraction. */
export function monotonicNow(): number {
  return now.call(performance);
}

/** That of Node is no JavaScript; one that was replaced before this was loaded would be as wrong as the timers. */
const wall = /\[native code\]/.test(Function.prototype.toString.call(Date.now)) ? Date.now : undefined;

/** Milliseconds since the Unix epoch, also when an application's test has set another date. */
export function wallNow(): number {
  return wall?.() ?? Math.floor(performance.timeOrigin + monotonicNow());
}
