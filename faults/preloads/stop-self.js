/**
 * A preload that stops its process (SIGSTOP) between two system calls of the spool's writer, a moment that no signal
 * from outside would hit. The parent's message `{ stopAt: n }` arms it: the n-th call from then on waits.
 */
import fs from "node:fs";
import { isMainThread } from "node:worker_threads";

/** The calls of the writer when events come; the shipper's thread is left alone. */
const CALLS = ["openSync", "writeSync", "fdatasync", "fdatasyncSync", "fsync", "closeSync"];

if (isMainThread) {
  let left = Number.POSITIVE_INFINITY;
  for (const name of CALLS) {
    const real = fs[name];
    fs[name] = (...args) => {
      left -= 1;
      if (left === 0) process.kill(process.pid, "SIGSTOP");
      return real(...args);
    };
  }
  process.on("message", ({ stopAt }) => {
    if (stopAt !== undefined) left = stopAt;
  });
}
