/**
 * The spool against a model of what it promises: random sequences of what an application, a shipper, a disk and a crash
 * do, on a file system that keeps POSIX's promises and no others (`test/support/model-fs.ts`).
 *
 * The model of a source is the list of its payloads, the number acknowledged as on disk, and for each handler the
 * number that it has. Checked at each step:
 *
 * - a handler receives every number once, in order, byte for byte as appended; repetitions only after its process
 *   ended;
 * - a number is reported as damaged only if its bytes were damaged, or if it was never acknowledged and its process
 *   died;
 * - what was acknowledged is delivered or reported, until a dead source's end; what a living process has not synced is
 *   neither;
 * - the same holds for what was reported as written, when its process was killed and the machine stayed up;
 * - a segment is deleted only when every handler has all of it, or a newer one has the rest;
 * - the bytes that the writer counts are the bytes on disk.
 *
 * `npm run test:long` tries ten times as many sequences; `SECLOG_MODEL_RUNS` sets another count, and `SECLOG_SEED`
 * where they begin (`random`: somewhere else each time).
 */

import { afterEach, describe, it, vi } from "vitest";
import { isLong } from "#test/support/long.ts";
import { fc } from "#test/support/properties.ts";
import { append, crash, flip, flushSync, keep, type Run, read, run } from "#test/support/spool-model/steps.ts";
import { World } from "#test/support/spool-model/world.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const RUNS = Number(process.env["SECLOG_MODEL_RUNS"] ?? (isLong ? 4_000 : 400));

/** Sequences that failed once, named by the defect. Add each new one. */
const FAILED: Record<string, Omit<Run, "seed"> & { readonly seed?: number }> = {
  "the root's name was not made durable": {
    segmentBytes: 128,
    seed: 1,
    steps: [append(1), { do: "close" }, crash("power")],
  },
  "a header that was refused was taken off the bytes": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      { do: "fault", fault: { calls: "write", after: 1, count: 1, code: "EIO" } },
      append(1, 3),
      flushSync,
    ],
  },
  "a flipped bit moved a cursor forward": {
    segmentBytes: 128,
    steps: [keep, flip(1, 0.47), crash("kill"), read(0)],
  },
  "a segment was deleted before its cursors were on disk": {
    segmentBytes: 128,
    seed: 1,
    steps: [append(1), flushSync, read(0), read(1), append(3, 15), { do: "time", ms: 1 }, keep, crash("power")],
  },
  "a sync swallowed another thread's error": {
    segmentBytes: 300,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "time", ms: 60 },
      { do: "pool", calls: 1, answers: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "pool", calls: 1, answers: 0 },
      { do: "heal" },
      append(1),
      flushSync,
      crash("power"),
    ],
  },
  "damage was held back and reported when a newer segment had its events": {
    segmentBytes: 4_000,
    steps: [
      flushSync,
      append(2),
      { do: "time", ms: 1_200 },
      append(5),
      { do: "time", ms: 1 },
      { do: "damage events", file: 0, count: 4, spare: 2, at: 0 },
      { do: "pool", calls: 1, answers: 2 },
      append(1),
      { do: "fault", fault: { calls: "write", after: 0, count: 1_000, code: "EIO" } },
      flushSync,
      read(0),
    ],
  },
  "an empty segment hid damage before it": {
    segmentBytes: 128,
    steps: [append(1), crash("kill", 6), flushSync, flip(0, 0.94), append(1, 3), { do: "time", ms: 1 }],
  },
  "a segment was deleted before its events were written again": {
    segmentBytes: 128,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "close" },
      { do: "pool", calls: 0, answers: 0 },
    ],
  },
  "a rewrite that was cut off hid what had been written before": {
    segmentBytes: 128,
    seed: -442640086,
    steps: [
      crash("power"),
      append(1),
      { do: "fault", fault: { calls: "sync", after: 5, count: 1, code: "EIO" } },
      keep,
      { do: "time", ms: 60 },
      crash("kill", 8),
      { do: "read", source: 3, handler: 0, most: 1 },
      flushSync,
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
  "deleted events were reported as damaged because a cursor was": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      { do: "read", source: 0, handler: 1, most: 1 },
      append(1),
      append(1),
      { do: "time", ms: 1 },
      { do: "read", source: 0, handler: 0, most: 1 },
      keep,
      { do: "damage", how: "truncate", file: 1, at: 0, length: 1 },
      { do: "close" },
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
  "of two damaged events at the end one was named": {
    segmentBytes: 300,
    steps: [append(2), flushSync, flip(0, 0.74), flip(0, 0.99), crash("kill"), read(0), read(1)],
  },
  "a rewrite of earlier events hid an event": {
    segmentBytes: 128,
    steps: [
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      append(1),
      { do: "time", ms: 6_000 },
      append(1, 3),
      { do: "time", ms: 1 },
      crash("kill", 10),
      { do: "close" },
      append(1),
    ],
  },
  "a torn cursor was taken to have what only a newer segment had": {
    segmentBytes: 128,
    seed: -827541416,
    steps: [
      { do: "append", count: 4, size: 2, wait: true },
      { do: "time", ms: 1 },
      append(5, 21),
      append(6, 18),
      append(2, 9),
      { do: "pool", calls: 1, answers: 0 },
      { do: "time", ms: 1 },
      { do: "between", after: 8, step: "pool" },
      { do: "fault", fault: { calls: "sync", after: 0, count: 2, code: "EIO" } },
      keep,
      { do: "pool", calls: 0, answers: 1 },
      flushSync,
      { do: "pool", calls: 0, answers: 1 },
      crash("power"),
      keep,
    ],
  },
  "the torn beginning of a rewrite was taken for what a torn cursor had": {
    segmentBytes: 4_000,
    seed: 564290419,
    steps: [
      append(3, 16),
      { do: "fault", fault: { calls: "sync", after: 0, count: 1_000, code: "EIO" } },
      { do: "time", ms: 1_200 },
      append(5, 5),
      { do: "pool", calls: 1, answers: 2 },
      keep,
      { do: "pool", calls: 1, answers: 3 },
      flushSync,
      crash("power"),
      { do: "pool", calls: 0, answers: 0 },
    ],
  },
  "everything left was damaged, and nothing was reported": {
    segmentBytes: 128,
    steps: [
      append(1),
      flushSync,
      read(0),
      append(1, 3),
      { do: "time", ms: 1 },
      crash("kill", 3),
      keep,
      { do: "read", source: 3, handler: 1, most: 1 },
      keep,
      { do: "damage events", file: 0, count: 1, spare: 0, at: 0 },
      flip(0, 0),
      { do: "between", after: 0, step: "read" },
    ],
  },
  "damage that a rewrite should have replaced hid what followed": {
    segmentBytes: 128,
    steps: [
      append(1),
      { do: "time", ms: 1 },
      { do: "fault", fault: { calls: "sync", after: 0, count: 1, code: "EIO" } },
      { do: "fault", fault: { calls: "write", after: 5, count: 5, code: "EIO" } },
      append(1, 3),
      flushSync,
      { do: "damage events", file: 0, count: 1, spare: 0, at: 0 },
      crash("kill"),
      { do: "read", source: 0, handler: 0, most: 1 },
    ],
  },
};

async function check(sequence: Run): Promise<void> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "Date"] });
  const world = new World(sequence);
  for (const each of sequence.steps) await world.step(each);
  await world.end();
}

afterEach(() => {
  vi.useRealTimers();
});

describe("the spool", () => {
  it.each(Object.entries(FAILED))("keeps its model's promises; once it broke them: %s", async (_, sequence) => {
    await check({ seed: 0, ...sequence });
  });

  it("keeps its model's promises, whatever happens", async () => {
    await fc.assert(fc.asyncProperty(run, check), { numRuns: RUNS });
  });
});
