/**
 * A preload: stops its process (SIGSTOP) at a moment that no signal from outside would meet, between two system calls of the
 * spool's writer. The parent's message `{ stopAt: n }` arms it: the n-th call from then on is the one that waits.
 */
import fs from "node:fs";
import { isMainThread } from "node:worker_threads";

/** What the writer calls when events come; the shipper's thread is left alone. */
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
