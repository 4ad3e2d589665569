import { describe, expect, it, vi } from "vitest";
import { type CrashKind, type Fault, ModelFs } from "#test/support/model-fs.ts";
import type { SpoolFs } from "../spool/fs.ts";
import type { SpoolRead } from "../spool/reader.ts";
import { keepQuarantined } from "./quarantine.ts";
import type { ShipSource } from "./ship-source.ts";
import { Shipper } from "./shipper.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const ignored = (): void => {};
const silent = {
  acknowledged: ignored,
  failed: ignored,
  seized: ignored,
  quarantined: ignored,
  kept: ignored,
  finished: ignored,
};

/** A dead process's source of one event. */
const leftBehind: ShipSource = {
  id: "0191f7a0-0000-7000-8000-000000000001",
  epoch: 2,
  key: "a".repeat(32),
  limit: () => undefined,
  openReader: (afterSeq) => {
    const reads: SpoolRead[] = afterSeq > 0 ? [] : [{ kind: "records", firstSeq: 1, records: [Buffer.from("{}\n{}")] }];
    return { seek: ignored, close: ignored, read: () => reads.shift() ?? { kind: "end" } };
  },
  loadCursor: () => 0,
  saveCursor: ignored,
  loadSuccessor: () => undefined,
  saveSuccessor: ignored,
  release: ignored,
};

it("Shipper.drain() - ends when only a left-behind source remains, not at its deadline", async () => {
  let store = ignored;
  const handler = {
    name: "test",
    handle: () =>
      new Promise<void>((resolve) => {
        store = resolve;
      }),
    close: () => Promise.resolve(),
  };
  const shipper = new Shipper([handler], silent, ignored);
  void shipper.add(leftBehind);
  const drained = shipper.drain(600_000);
  store();
  await expect(drained).resolves.toBe(true);
  await shipper.stop();
});

/** A living source whose numbers from 1 on are damaged. */
function damaged(lastSeq: number): ShipSource {
  const read = (afterSeq: number): SpoolRead =>
    afterSeq < lastSeq ? { kind: "damage", firstSeq: afterSeq + 1, lastSeq, bytes: Buffer.alloc(0) } : { kind: "end" };
  return {
    ...leftBehind,
    limit: () => lastSeq,
    openReader: (afterSeq) => {
      const reads = [read(afterSeq)];
      return { seek: ignored, close: ignored, read: () => reads.shift() ?? { kind: "end" } };
    },
  };
}

it("Shipper - yields to other work while it quarantines a lot of damage, and can stop halfway", async () => {
  let kept = 0;
  const handler = { name: "test", handle: async () => {}, close: async () => {} };
  const shipper = new Shipper([handler], silent, () => {
    kept += 1;
  });
  void shipper.add(damaged(10_000_000));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(kept).toBeGreaterThan(0);
  await shipper.stop();
  expect(kept).toBeLessThan(10_000_000);
});

it("Shipper - quarantines every damaged number, and reports each run of them once", async () => {
  const reports: string[] = [];
  let kept = 0;
  const quarantined = (_: unknown, { seq, reason }: { seq: number; reason: string }): number =>
    reports.push(`${seq}: ${reason}`);
  const observer = { ...silent, quarantined };
  const handler = { name: "test", handle: async () => {}, close: async () => {} };
  const shipper = new Shipper([handler], observer, () => {
    kept += 1;
  });
  void shipper.add(damaged(7));
  await expect(shipper.drain(600_000)).resolves.toBe(true);
  await shipper.stop();
  expect([kept, shipper.health(0).quarantined]).toEqual([7, 7]);
  expect(reports).toEqual([
    "1: the spool's record is missing, or was deleted before this handler was added (one of 7 in a row)",
  ]);
});

it("Shipper.health() - recovers when a cursor can be read again and nothing is left to ship", async () => {
  let failing = true;
  const source: ShipSource = {
    ...damaged(7),
    loadCursor: () => {
      if (failing) throw new Error("EMFILE");
      return 7;
    },
  };
  const observer = {
    ...silent,
    acknowledged: (): void => void health.push(shipper.health(0).status),
    failed: (): void => void health.push(shipper.health(0).status),
  };
  const health: string[] = [];
  const handler = { name: "test", handle: async () => {}, close: async () => {} };
  const shipper = new Shipper([handler], observer, ignored);
  void shipper.add(source);
  failing = false;
  await expect.poll(() => health).toEqual(["retrying", "ok"]);
  await shipper.stop();
});

it("Shipper - never delivers a batch twice at the same time, even if reading the spool fails meanwhile", async () => {
  let failures = 1;
  const source: ShipSource = {
    ...leftBehind,
    openReader: (afterSeq) => {
      const left = leftBehind.openReader(afterSeq);
      let first = true;
      const read: typeof left.read = (...args) => {
        if (!first && failures-- > 0) throw new Error("EIO");
        first = false;
        return left.read(...args);
      };
      return { ...left, read };
    },
  };
  let underWay = 0;
  let most = 0;
  const handler = {
    name: "test",
    inFlight: 2,
    handle: async () => {
      most = Math.max(most, ++underWay);
      // Longer than the pause after a failure to read.
      await new Promise((resolve) => setTimeout(resolve, 500));
      underWay--;
    },
    close: () => Promise.resolve(),
  };
  const shipper = new Shipper([handler], silent, ignored);
  void shipper.add(source);
  await expect(shipper.drain(600_000)).resolves.toBe(true);
  await shipper.stop();
  expect(most).toBe(1);
});

describe("keepQuarantined()", () => {
  const FILE = "/spool/quarantine.ndjson";
  const record = (seq: number): Parameters<typeof keepQuarantined>[3] => ({
    source: { id: leftBehind.id, epoch: 1, key: "", acknowledged: 0 },
    seq,
    reason: "made by the test",
    record: Buffer.alloc(200, seq),
  });
  const withRoot = (seed: number): { disk: ModelFs; fs: SpoolFs } => {
    const disk = new ModelFs(seed);
    const fs = disk.process();
    fs.mkdirSync("/spool");
    const root = fs.openSync("/", "r");
    fs.fsyncSync(root);
    fs.closeSync(root);
    return { disk, fs };
  };
  /** The numbers on whole lines, and how many lines are torn. */
  const lines = (disk: ModelFs): { whole: number[]; torn: number } => {
    const whole: number[] = [];
    let torn = 0;
    for (const line of (disk.file(FILE)?.cache.toString() ?? "").split("\n").filter(Boolean)) {
      try {
        whole.push((JSON.parse(line) as { seq: number }).seq);
      } catch {
        torn += 1;
      }
    }
    return { whole, torn };
  };

  it.each(["EIO", "ENOSPC", "SHORT"] as const)(
    "has on disk what it acknowledged, whichever call fails with %s",
    (code) => {
      for (const calls of ["write", "sync", "read"] as const) {
        for (let after = 0; after < 12; after++) {
          const { disk, fs } = withRoot(after);
          keepQuarantined(fs, "/spool", "h", record(1));
          disk.inject({ calls, after, count: 1, code } satisfies Fault);
          const kept = [1];
          for (const seq of [2, 2, 3, 3]) {
            if (kept.includes(seq)) continue;
            try {
              keepQuarantined(fs, "/spool", "h", record(seq));
              kept.push(seq);
            } catch {
              // The lane retries.
            }
          }
          expect(kept).toEqual([1, 2, 3]);
          // A torn line, or a whole one that was never acknowledged as on disk.
          expect([...new Set(lines(disk).whole)], `${calls} ${after}`).toEqual(kept);
        }
      }
    },
  );

  it.each(["kill", "power"] as const)(
    "has on disk what it acknowledged, after a %s at any moment",
    (kind: CrashKind) => {
      for (let seed = 0; seed < 20; seed++) {
        for (let after = 0; after < 16; after++) {
          const { disk, fs } = withRoot(seed);
          disk.schedule(after, () => disk.crash(kind));
          const kept: number[] = [];
          try {
            for (const seq of [1, 2]) {
              keepQuarantined(fs, "/spool", "h", record(seq));
              kept.push(seq);
            }
          } catch {
            // The process has ended.
          }
          disk.crash(kind);
          keepQuarantined(disk.process(), "/spool", "h", record(3));
          const { whole, torn } = lines(disk);
          expect(whole).toEqual(expect.arrayContaining([...kept, 3]));
          expect(torn).toBeLessThanOrEqual(1);
        }
      }
    },
  );
});

it.each(["saveCursor", "release"] as const)(
  "Shipper - tries again by itself when %s() failed, and tells that once",
  async (name) => {
    let failing = true;
    let kept = 0;
    let tries = 0;
    const keep = (): void => {
      tries += 1;
      if (failing) throw new Error("EACCES: made by the test");
      kept += 1;
    };
    const source: ShipSource = { ...leftBehind, limit: () => 1, [name]: keep };
    const failures: string[] = [];
    const failed = (_: unknown, kind: string, { message }: Error): number => failures.push(`${kind}: ${message}`);
    const observer = { ...silent, failed };
    const shipper = new Shipper([{ name: "test", handle: async () => {}, close: async () => {} }], observer, ignored);
    void shipper.add(source);
    await expect.poll(() => tries, { timeout: 5_000 }).toBe(2);
    expect(failures).toEqual([expect.stringMatching(/^retry: the shipped files of .* cannot be deleted \(EACCES/)]);
    failing = false;
    await expect.poll(() => kept, { timeout: 5_000 }).toBe(1);
    await shipper.stop();
    expect(failures).toHaveLength(1);
  },
);

it("Shipper.releaseAgain() - releases although no handler has made progress", async () => {
  const released: number[] = [];
  const source: ShipSource = { ...leftBehind, limit: () => 1, release: (seq) => void released.push(seq) };
  const shipper = new Shipper([{ name: "test", handle: async () => {}, close: async () => {} }], silent, ignored);
  void shipper.add(source);
  await expect.poll(() => released).toEqual([1]);
  shipper.releaseAgain(source);
  await expect.poll(() => released).toEqual([1, 1]);
  await shipper.stop();
});

it("Shipper.add() - releases what its handlers had already stored", async () => {
  const released: number[] = [];
  const source: ShipSource = { ...damaged(7), loadCursor: () => 7, release: (seq) => void released.push(seq) };
  const shipper = new Shipper([{ name: "test", handle: async () => {}, close: async () => {} }], silent, ignored);
  void shipper.add(source);
  await expect.poll(() => released).toEqual([7]);
  await shipper.stop();
});

it("Shipper.closeHandlers() - tolerates a handler that throws", async () => {
  const close = (): never => {
    throw new Error("made by the test");
  };
  const shipper = new Shipper([{ name: "test", handle: async () => {}, close }], silent, ignored);
  await shipper.stop();
  await shipper.closeHandlers();
});

it("Shipper.closeHandlers() - waits only a few seconds for a handler that does not close", async () => {
  vi.useFakeTimers();
  try {
    const handler = { name: "test", handle: async () => {}, close: () => new Promise<void>(ignored) };
    const shipper = new Shipper([handler], silent, ignored);
    await shipper.stop();
    const closed = shipper.closeHandlers();
    await vi.advanceTimersByTimeAsync(5_000);
    await closed;
  } finally {
    vi.useRealTimers();
  }
});
