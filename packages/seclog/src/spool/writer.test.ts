import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type SpoolFs, spoolFs } from "./fs.ts";
import { type Ownership, OwnerWatch, release, takeOver } from "./ownership.ts";
import { SpoolReader } from "./reader.ts";
import { createSource, deleteShipped, removeSource } from "./source.ts";
import { SpoolWriter } from "./writer.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const ID = "0191f7a0-0000-7000-8000-000000000001";
const LIMITS = { segmentBytes: 1e6, maxBytes: 1e9, memoryBytes: 1e6 };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-writer-"));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

it("durable() - never resolves for what was written after another process took over, however late that is noticed", async () => {
  const owned = createSource(spoolFs, root, ID);
  vi.useFakeTimers({ toFake: ["Date"] });
  let asleep = false;
  /** The process is stopped for minutes just before the write, after the ownership check. */
  const fs: SpoolFs = {
    ...spoolFs,
    writeSync: ((...args: Parameters<typeof spoolFs.writeSync>) => {
      if (asleep) {
        asleep = false;
        vi.setSystemTime(Date.now() + 6 * 60_000);
        release(spoolFs, owned);
        expect(takeOver(spoolFs, owned.directory, "other", new OwnerWatch())?.epoch).toBe(2);
      }
      return spoolFs.writeSync(...args);
    }) as typeof spoolFs.writeSync,
  };
  const calls: string[] = [];
  const writer = new SpoolWriter(fs, owned, ID, LIMITS, {
    synced: (seq) => calls.push(`synced ${seq}`),
    failed: () => calls.push("failed"),
    recovered: () => calls.push("recovered"),
    closed: () => {},
    lost: () => calls.push("lost"),
  });
  writer.append(writer.lastSeq + 1, "before");
  await writer.durable(1, true);
  asleep = true;
  writer.append(writer.lastSeq + 1, "after");
  const waiting = [writer.durable(2, false), writer.durable(2, true)];
  for (const promise of waiting) await expect(promise).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  await expect.poll(() => calls).toEqual(["synced 1", "lost"]);
  await expect(writer.durable(2, false)).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  // The new owner may have read it: written again, it could be stored twice.
  expect(writer.unwrittenPayloads()).toEqual([]);
});

it("unwrittenPayloads() - has nothing that a new owner may have read, even when its sync then fails", async () => {
  const owned = createSource(spoolFs, root, ID);
  let failing = false;
  const fs: SpoolFs = {
    ...spoolFs,
    fdatasync: Object.assign(
      (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
        if (!failing) spoolFs.fdatasync(fd, done);
        else setTimeout(done, 1_200, new Error("EIO"));
      },
      { __promisify__: spoolFs.fdatasync.__promisify__ },
    ),
  };
  const calls: string[] = [];
  const observer = {
    synced: () => {},
    failed: () => {},
    recovered: () => {},
    closed: () => {},
    lost: () => calls.push("lost"),
  };
  const writer = new SpoolWriter(fs, owned, ID, LIMITS, observer);
  writer.append(writer.lastSeq + 1, "before");
  await writer.durable(1, true);
  failing = true;
  writer.append(writer.lastSeq + 1, "written");
  const waiting = expect(writer.durable(2, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  await writer.durable(2, false);
  release(spoolFs, owned);
  expect(takeOver(spoolFs, owned.directory, "other", new OwnerWatch())?.epoch).toBe(2);
  await waiting;
  await expect.poll(() => calls).toEqual(["lost"]);
  expect(writer.unwrittenPayloads().map(String)).toEqual([]);
});

it("unwrittenPayloads() - has what a full disk never took", async () => {
  const owned = createSource(spoolFs, root, ID);
  let full = false;
  const fs: SpoolFs = {
    ...spoolFs,
    writeSync: ((...args: Parameters<typeof spoolFs.writeSync>) => {
      if (full) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      return spoolFs.writeSync(...args);
    }) as typeof spoolFs.writeSync,
  };
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(fs, owned, ID, LIMITS, observer);
  writer.append(writer.lastSeq + 1, "before");
  await writer.durable(1, true);
  full = true;
  writer.append(writer.lastSeq + 1, "refused");
  await expect(writer.durable(2, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_WRITE" });
  expect(writer.unwrittenPayloads().map(String)).toEqual(["refused"]);
  writer.close();
});

/** A disk that takes writes and does not sync, from `begin` on. */
function unsynced(): { fs: SpoolFs; begin(): void; opened(): number } {
  let failing = false;
  let opened = 0;
  const eio = (): NodeJS.ErrnoException => Object.assign(new Error("EIO"), { code: "EIO" });
  const fs: SpoolFs = {
    ...spoolFs,
    openSync: ((...args: Parameters<typeof spoolFs.openSync>) => {
      if (args[1] === "ax") opened += 1;
      return spoolFs.openSync(...args);
    }) as typeof spoolFs.openSync,
    fdatasync: Object.assign(
      (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
        if (failing) setTimeout(done, 2, eio());
        else spoolFs.fdatasync(fd, done);
      },
      { __promisify__: spoolFs.fdatasync.__promisify__ },
    ),
    fdatasyncSync: (fd) => {
      if (failing) throw eio();
      spoolFs.fdatasyncSync(fd);
    },
  };
  const begin = (): void => {
    failing = true;
    opened = 0;
  };
  return { fs, begin, opened: () => opened };
}

it("durable() - rejects when the disk fails to sync twice, and retries after longer and longer pauses", async () => {
  const disk = unsynced();
  const owned = createSource(disk.fs, root, ID);
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(disk.fs, owned, ID, LIMITS, observer);
  writer.append(writer.lastSeq + 1, "before");
  await writer.durable(1, true);
  disk.begin();
  writer.append(writer.lastSeq + 1, "after");
  await expect(writer.durable(2, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_WRITE" });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  // Two attempts at once, then after 50, 100, 200, 400 ms.
  expect(disk.opened()).toBeLessThan(12);
  writer.close();
});

it("bytesWritten - does not grow with each attempt while the disk does not sync", async () => {
  const disk = unsynced();
  const owned = createSource(disk.fs, root, ID);
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(disk.fs, owned, ID, LIMITS, observer);
  disk.begin();
  let most = 0;
  for (let n = 0; n < 100; n++) {
    writer.append(writer.lastSeq + 1, "x".repeat(2_000));
    void writer.durable(writer.lastSeq, true).catch(() => {});
    // As strict events do, which do not pause.
    expect(() => writer.flushSync()).toThrow("EIO");
    most = Math.max(most, writer.bytesWritten);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(most).toBeLessThan(3 * 200_000);
  writer.close();
});

it.each(["durable", "flushSync"] as const)(
  "%s() - reports nothing as on disk that a new owner removed before the sync ended",
  async (how) => {
    const owned = createSource(spoolFs, root, ID);
    let armed = false;
    const takenOver = (): void => {
      if (!armed) return;
      armed = false;
      release(spoolFs, owned);
      takeOver(spoolFs, owned.directory, "other", new OwnerWatch());
      removeSource(spoolFs, root, owned.directory);
    };
    const fs: SpoolFs = {
      ...spoolFs,
      fdatasyncSync: (fd) => {
        takenOver();
        spoolFs.fdatasyncSync(fd);
      },
      fdatasync: Object.assign(
        (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
          takenOver();
          spoolFs.fdatasync(fd, done);
        },
        { __promisify__: spoolFs.fdatasync.__promisify__ },
      ),
    };
    const calls: string[] = [];
    const observer = { failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => calls.push("lost") };
    const writer = new SpoolWriter(fs, owned, ID, LIMITS, {
      ...observer,
      synced: (seq) => calls.push(`synced ${seq}`),
    });
    writer.append(writer.lastSeq + 1, "before");
    await writer.durable(1, true);
    armed = true;
    writer.append(writer.lastSeq + 1, "after");
    const lost = { code: "SECLOG_SPOOL_LOST" };
    if (how === "flushSync") expect(() => writer.flushSync()).toThrow(expect.objectContaining(lost));
    await expect(writer.durable(2, true)).rejects.toMatchObject(lost);
    await expect.poll(() => calls).toEqual(["synced 1", "lost"]);
  },
);

/** A sync in the thread pool that ends when the test says so; writes fail when it says so. */
function hanging(): { fs: SpoolFs; refuse: boolean; waiting(): boolean; end(error: Error | null): void; open: number } {
  let done: ((error: NodeJS.ErrnoException | null) => void) | undefined;
  const disk = {
    refuse: false,
    open: 0,
    waiting: (): boolean => done !== undefined,
    end: (error: Error | null): void => {
      const call = done;
      done = undefined;
      call?.(error);
    },
    fs: {
      ...spoolFs,
      openSync: ((...args: Parameters<typeof spoolFs.openSync>) => {
        disk.open += 1;
        return spoolFs.openSync(...args);
      }) as typeof spoolFs.openSync,
      closeSync: ((fd: number) => {
        disk.open -= 1;
        spoolFs.closeSync(fd);
      }) as typeof spoolFs.closeSync,
      writeSync: ((...args: Parameters<typeof spoolFs.writeSync>) => {
        // Not a segment's header, so that the file exists.
        if (disk.refuse && (args[1] as unknown as Uint8Array).length !== 64)
          throw Object.assign(new Error("EIO"), { code: "EIO" });
        return spoolFs.writeSync(...args);
      }) as typeof spoolFs.writeSync,
      fdatasync: Object.assign(
        (_: number, then: (error: NodeJS.ErrnoException | null) => void) => {
          done = then;
        },
        { __promisify__: spoolFs.fdatasync.__promisify__ },
      ),
    } as SpoolFs,
  };
  return disk;
}

/** A writer whose first event, "before", waits for a sync that hangs. */
async function syncHangs(failed: () => void = () => {}): Promise<{
  disk: ReturnType<typeof hanging>;
  owned: Ownership;
  writer: SpoolWriter;
  durable: Promise<void>;
  closed: () => number;
}> {
  let closedNumber = 0;
  const disk = hanging();
  const owned = createSource(spoolFs, root, ID);
  const writer = new SpoolWriter(disk.fs, owned, ID, LIMITS, {
    synced: () => {},
    failed,
    recovered: () => {},
    closed: (number) => {
      closedNumber = number;
    },
    lost: () => {},
  });
  writer.append(writer.lastSeq + 1, "before");
  const durable = writer.durable(1, true);
  await expect.poll(() => disk.waiting()).toBe(true);
  return { disk, owned, writer, durable, closed: () => closedNumber };
}

it("flush() - does not open more and more files while a sync hangs and writes are refused", async () => {
  const { disk, writer, durable } = await syncHangs();
  disk.refuse = true;
  const before = disk.open;
  for (let n = 0; n < 10; n++) {
    writer.append(writer.lastSeq + 1, "after");
    expect(() => writer.flushSync()).toThrow("EIO");
  }
  expect(disk.open).toBeLessThanOrEqual(before + 2);
  disk.refuse = false;
  disk.end(null);
  await expect.poll(() => disk.waiting()).toBe(true);
  disk.end(null);
  await durable;
  writer.close();
  await expect.poll(() => disk.open).toBe(0);
});

it("failing - ignores a sync that fails when another one has brought everything to disk", async () => {
  const calls: string[] = [];
  const { disk, writer, durable } = await syncHangs(() => calls.push("failed"));
  writer.flushSync();
  disk.end(Object.assign(new Error("EIO"), { code: "EIO" }));
  await durable;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([writer.failing, calls]).toEqual([false, []]);
  writer.close();
});

it("retire() - ends the segment when all of it is on disk, and later events are in another one", async () => {
  const owned = createSource(spoolFs, root, ID);
  let closed = 0;
  const freed: number[] = [];
  const observer = {
    synced: () => {},
    failed: () => {},
    recovered: () => {},
    closed: (number: number) => {
      closed = number;
    },
    lost: () => {},
  };
  const writer = new SpoolWriter(spoolFs, owned, ID, LIMITS, observer);
  const segments = (): string[] => readdirSync(owned.directory).filter((name) => name.endsWith(".seg"));
  const free = (): void => deleteShipped(spoolFs, owned.directory, 1, (bytes) => freed.push(bytes), closed);
  writer.append(writer.lastSeq + 1, "first");
  writer.retire();
  expect(closed).toBe(0);
  await writer.durable(1, true);
  free();
  expect(segments()).toEqual(["00000001.seg"]);
  writer.retire();
  expect(closed).toBe(1);
  free();
  expect([segments(), freed.length]).toEqual([[], 1]);
  writer.retire();
  writer.append(writer.lastSeq + 1, "second");
  await writer.durable(2, true);
  expect(segments()).toEqual(["00000002.seg"]);
  const reader = new SpoolReader(spoolFs, owned.directory, 1);
  expect(reader.read(undefined, 10, 1e6)).toMatchObject({ kind: "records", firstSeq: 2 });
  reader.close();
  writer.close();
});

it("flush() - does not leave more and more files while a sync hangs and writes are refused", async () => {
  const { disk, owned, writer, durable } = await syncHangs();
  disk.refuse = true;
  writer.append(writer.lastSeq + 1, "after");
  for (let n = 0; n < 10; n++) expect(() => writer.flushSync()).toThrow("EIO");
  expect(readdirSync(owned.directory).filter((name) => name.endsWith(".seg")).length).toBeLessThan(4);
  disk.refuse = false;
  const both = writer.durable(2, true);
  disk.end(null);
  await expect.poll(() => disk.waiting()).toBe(true);
  disk.end(null);
  await Promise.all([durable, both]);
  writer.close();
  const reader = new SpoolReader(spoolFs, owned.directory, 0);
  expect(reader.read(undefined, 10, 1e6)).toMatchObject({
    firstSeq: 1,
    records: [Buffer.from("before"), Buffer.from("after")],
  });
  reader.close();
});

it("abandon - closes a failed segment all of which was on disk", async () => {
  const { disk, owned, writer, durable, closed } = await syncHangs();
  writer.flushSync();
  disk.end(Object.assign(new Error("EIO"), { code: "EIO" }));
  await durable;
  await new Promise(setImmediate);
  deleteShipped(spoolFs, owned.directory, 1, () => {}, closed());
  expect(readdirSync(owned.directory)).not.toContain("00000001.seg");
  writer.close();
});
