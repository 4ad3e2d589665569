/** The steps of a sequence: those of an application, a shipper, a disk and a crash. */

import { FRAME_BYTES } from "../../../packages/seclog/src/spool/segment.ts";
import type { CrashKind, Fault } from "../model-fs.ts";
import { fc } from "../properties.ts";

/** One step. Plain data, so that a failed sequence can be kept as it was printed. */
export type Step =
  /** Records events; `wait` makes them durable, without waiting here. */
  | { readonly do: "append"; readonly count: number; readonly size: number; readonly wait: boolean }
  /** The event loop turns, and time passes. */
  | { readonly do: "time"; readonly ms: number }
  /** The thread pool runs its oldest calls, and some callbacks run. */
  | { readonly do: "pool"; readonly calls: number; readonly answers: number }
  | { readonly do: "flushSync" }
  /** Room is short: the segment is ended, so that it can be deleted. */
  | { readonly do: "retire" }
  /** A handler takes events of the living source, or of the dead one at this index, and acknowledges them. */
  | { readonly do: "read"; readonly source: number; readonly handler: number; readonly most: number }
  /** Keeps cursors and deletes what all handlers have, as the shipper does. */
  | { readonly do: "keep" }
  /** The process crashes after this many more file system calls, and another one starts. */
  | { readonly do: "crash"; readonly kind: CrashKind; readonly after: number }
  /** The process ends in order, and another one starts. */
  | { readonly do: "close" }
  | { readonly do: "fault"; readonly fault: Fault }
  | { readonly do: "heal" }
  /** Another thread does something between two calls of one thread. */
  | { readonly do: "between"; readonly after: number; readonly step: "read" | "pool" | "write" }
  /** Each of a segment's last `count` events except `spare` is damaged, in its head or its payload. */
  | {
      readonly do: "damage events";
      readonly file: number;
      readonly count: number;
      readonly spare: number;
      readonly at: number;
    }
  /** A file's bytes change in place. */
  | {
      readonly do: "damage";
      readonly how: "flip" | "zero" | "truncate";
      readonly file: number;
      readonly at: number;
      readonly length: number;
    };

/** A sequence of steps, and its parameters. */
export interface Run {
  readonly segmentBytes: number;
  readonly seed: number;
  readonly steps: readonly Step[];
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 6 }),
      size: fc.integer({ min: 0, max: 60 }),
      wait: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("time" as const), ms: fc.constantFrom(1, 1, 60, 1_200, 6_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pool" as const),
      calls: fc.integer({ min: 0, max: 3 }),
      answers: fc.constantFrom(0, 0, 1, 2, 3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("flushSync" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("retire" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      source: fc.nat(3),
      handler: fc.nat(1),
      most: fc.constantFrom(1, 3, 50),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("keep" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("crash" as const),
      kind: fc.constantFrom("kill" as const, "power" as const, "power" as const),
      after: fc.oneof(fc.constant(0), fc.nat(30)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      fault: fc.record({
        calls: fc.constantFrom("write" as const, "sync" as const, "read" as const),
        after: fc.oneof(fc.constant(0), fc.nat(6)),
        count: fc.constantFrom(1, 1, 2, 5, 1_000),
        code: fc.constantFrom("EIO" as const, "ENOSPC" as const, "SHORT" as const),
      }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("heal" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("between" as const),
      after: fc.nat(12),
      step: fc.constantFrom("read" as const, "pool" as const, "write" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("damage events" as const),
      file: fc.nat(8),
      count: fc.integer({ min: 1, max: 4 }),
      spare: fc.constantFrom(0, 0, 0, 1, 2),
      at: fc.integer({ min: 0, max: FRAME_BYTES + 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("damage" as const),
      how: fc.constantFrom("flip" as const, "flip" as const, "zero" as const, "truncate" as const),
      file: fc.nat(20),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      length: fc.integer({ min: 1, max: 200 }),
    }),
  },
);

export const run: fc.Arbitrary<Run> = fc.record({
  segmentBytes: fc.constantFrom(128, 300, 700, 4_000),
  seed: fc.integer(),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
});

export const append = (count: number, size = 0): Step => ({ do: "append", count, size, wait: false });
export const flushSync: Step = { do: "flushSync" };
export const keep: Step = { do: "keep" };
export const read = (handler: number, source = 0): Step => ({ do: "read", source, handler, most: 50 });
export const crash = (kind: CrashKind, after = 0): Step => ({ do: "crash", kind, after });
export const flip = (file: number, at: number): Step => ({ do: "damage", how: "flip", file, at, length: 1 });
