import * as nodeFs from "node:fs";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SeclogError } from "../event/errors.ts";
import { type SpoolFs, spoolFs } from "./fs.ts";
import { OwnerWatch, release, stillOwns, takeOver } from "./ownership.ts";
import { SpoolReader } from "./reader.ts";
import { FRAME_BYTES, HEADER_BYTES } from "./segment.ts";
import { adoptSource, createSource, deleteShipped, listSources, openRoot, removeSource } from "./source.ts";
import { SpoolWriter } from "./writer.ts";

const LIMITS = { segmentBytes: 64 * 1024, maxBytes: 1e9, memoryBytes: 1e6 };
const ID = "0191f7a0-0000-7000-8000-000000000001";
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-spool-"));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

interface Opened {
  writer: SpoolWriter;
  directory: string;
  failures: SeclogError[];
  calls: string[];
}

function open(fs: SpoolFs = spoolFs, limits: Partial<typeof LIMITS> = {}): Opened {
  const owned = createSource(spoolFs, root, ID);
  const failures: SeclogError[] = [];
  const calls: string[] = [];
  const writer = new SpoolWriter(
    fs,
    owned,
    ID,
    { ...LIMITS, ...limits },
    {
      synced: (seq) => calls.push(`synced ${seq}`),
      failed: (error) => failures.push(error),
      recovered: () => calls.push("recovered"),
      closed: () => {},
      lost: () => calls.push("lost"),
    },
  );
  return { writer, directory: owned.directory, failures, calls };
}

const payload = (seq: number): string => `{"seq":${seq}}\n{"text":"${"x".repeat(seq % 90)}"}`;

function append(writer: SpoolWriter, count: number): void {
  for (let i = 0; i < count; i++) writer.append(writer.lastSeq + 1, payload(writer.lastSeq + 1));
}

/** Appends in many turns of the event loop, so that there are many writes. */
async function appendSlowly(writer: SpoolWriter, count: number): Promise<void> {
  for (let done = 0; done < count; done += 100) {
    append(writer, 100);
    await writer.durable(writer.lastSeq, false);
  }
  await writer.durable(writer.lastSeq, true);
}

/** Everything that can be read: payloads by number, and the damaged numbers. */
function readAll(directory: string, limit?: number, after = 0): { seqs: number[]; damaged: number[]; texts: string[] } {
  const reader = new SpoolReader(spoolFs, directory, after);
  const seqs: number[] = [];
  const damaged: number[] = [];
  const texts: string[] = [];
  for (;;) {
    const read = reader.read(limit, 7, 1e6);
    if (read.kind === "end") break;
    if (read.kind === "damage") for (let seq = read.firstSeq; seq <= read.lastSeq; seq++) damaged.push(seq);
    else
      for (const [index, record] of read.records.entries()) {
        seqs.push(read.firstSeq + index);
        texts.push(record.toString());
      }
  }
  reader.close();
  return { seqs, damaged, texts };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** `node:fs` with one function that fails as ordered. */
function failing<K extends keyof SpoolFs>(name: K, replace: (real: SpoolFs[K]) => SpoolFs[K]): SpoolFs {
  const fs: SpoolFs = { ...nodeFs };
  Object.assign(fs, { [name]: replace(spoolFs[name]) });
  return fs;
}

const errno = (code: string): Error => Object.assign(new Error(`${code}: made by the test`), { code });

describe("SpoolWriter and SpoolReader", () => {
  it("return what was appended, over several segments", async () => {
    const { writer, directory } = open();
    await appendSlowly(writer, 3_000);
    writer.close();
    expect(readdirSync(directory).filter((name) => name.endsWith(".seg")).length).toBeGreaterThan(2);
    const { seqs, damaged, texts } = readAll(directory);
    expect(seqs).toEqual(range(1, 3_000));
    expect(damaged).toEqual([]);
    expect(texts).toEqual(range(1, 3_000).map(payload));
  });

  it("acknowledges an event of an unfinished turn only after a sync that covers it", async () => {
    const held: (() => void)[] = [];
    const { writer } = open(
      failing("fdatasync", () => ((_: number, done: (error: null) => void) => held.push(() => done(null))) as never),
    );
    const syncBegins = (): Promise<unknown> => expect.poll(() => held.length).toBeGreaterThan(0);
    append(writer, 1);
    void writer.durable(1, true);
    await syncBegins();
    append(writer, 1);
    writer.flush();
    append(writer, 1);
    // The first sync ends in the middle of the turn, and the second begins at once: event 2 is written, event 3 is not
    // yet.
    const third = writer.durable(3, true);
    held.shift()?.();
    await syncBegins();
    held.shift()?.();
    await third;
    expect(writer.syncedSeq).toBe(3);
    writer.close();
  });

  it("writes before the turn of the event loop ends, without being asked", async () => {
    const { writer, directory } = open();
    append(writer, 2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(readAll(directory).seqs).toEqual([1, 2]);
    writer.close();
  });

  it("resolves durable only after fdatasync has returned", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let synced = false;
    const fs = failing("fdatasync", (real) =>
      Object.assign(
        (fd: number, callback: (error: NodeJS.ErrnoException | null) => void) =>
          void held.then(() => {
            synced = true;
            real(fd, callback);
          }),
        { __promisify__: real.__promisify__ },
      ),
    );
    const { writer } = open(fs);
    append(writer, 1);
    const durable = writer.durable(1, true).then(() => synced);
    await writer.durable(1, false);
    expect(synced).toBe(false);
    release();
    expect(await durable).toBe(true);
    writer.close();
  });

  it("drops a torn tail of every length and keeps what is before it", async () => {
    const { writer, directory } = open();
    append(writer, 5);
    writer.close();
    const path = join(directory, "00000001.seg");
    const whole = readFileSync(path);
    const last = FRAME_BYTES + payload(5).length;
    for (let cut = 1; cut <= last; cut++) {
      writeFileSync(path, whole);
      truncateSync(path, whole.length - cut);
      expect(readAll(directory)).toMatchObject({ seqs: [1, 2, 3, 4], damaged: [] });
    }
  });

  it("finds a flipped byte wherever it is, loses that record only, and names it", () => {
    const { writer, directory } = open();
    append(writer, 6);
    writer.close();
    const path = join(directory, "00000001.seg");
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] as number) ^ 0x40;
      writeFileSync(path, flipped);
      const { seqs, damaged } = readAll(directory);
      expect(
        [...seqs, ...damaged].sort((a, b) => a - b),
        `byte ${at}`,
      ).toEqual(range(1, 6));
      expect(damaged.length, `byte ${at}`).toBe(at < HEADER_BYTES ? 0 : 1);
    }
  });

  it("an error of fdatasync abandons the segment and writes again what it covered", async () => {
    let calls = 0;
    const fs = failing("fdatasync", (real) =>
      Object.assign(
        (fd: number, callback: (error: NodeJS.ErrnoException | null) => void) =>
          ++calls === 2 ? setImmediate(callback, errno("EIO")) : real(fd, callback),
        { __promisify__: real.__promisify__ },
      ),
    );
    const { writer, directory, failures, calls: seen } = open(fs);
    append(writer, 10);
    await writer.durable(10, true);
    append(writer, 10);
    await writer.durable(20, true);
    append(writer, 10);
    await writer.durable(30, true);
    writer.close();
    expect(failures[0]?.code).toBe("SECLOG_SPOOL_WRITE");
    expect(seen).toContain("recovered");
    expect(readdirSync(directory).filter((name) => name.endsWith(".seg"))).toEqual(["00000001.seg", "00000002.seg"]);
    expect(readAll(directory, 30)).toMatchObject({ seqs: range(1, 30), damaged: [] });
    // The abandoned segment's tail is never trusted: damage it, and the newer one takes its place.
    const abandoned = join(directory, "00000001.seg");
    const bytes = readFileSync(abandoned);
    bytes.fill(0xff, bytes.length - 30);
    writeFileSync(abandoned, bytes);
    expect(readAll(directory, 30)).toMatchObject({ seqs: range(1, 30), damaged: [] });
  });

  it("a disk that refuses every write rejects durable, keeps the events, and continues when it takes them again", async () => {
    let refuse = false;
    const fs = failing(
      "writeSync",
      (real) =>
        ((...args: Parameters<SpoolFs["writeSync"]>) => {
          if (refuse) throw errno("ENOSPC");
          return real(...args);
        }) as SpoolFs["writeSync"],
    );
    const { writer, directory, failures } = open(fs);
    append(writer, 5);
    await writer.durable(5, true);
    refuse = true;
    append(writer, 5);
    await expect(writer.durable(10, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_WRITE" });
    expect(writer.failing).toBe(true);
    append(writer, 5);
    refuse = false;
    await expect.poll(() => writer.syncedSeq).toBe(15);
    expect(failures).toHaveLength(1);
    expect(writer.failing).toBe(false);
    writer.close();
    expect(readAll(directory)).toMatchObject({ seqs: range(1, 15), damaged: [] });
    expect(readdirSync(directory).filter((name) => name.endsWith(".seg")).length).toBe(2);
  });

  it("a short write is finished", async () => {
    const fs = failing(
      "writeSync",
      (real) =>
        ((fd: number, bytes: Buffer, offset: number, length: number) =>
          real(
            fd,
            bytes,
            offset,
            length === HEADER_BYTES ? length : Math.max(1, Math.floor(length / 2)),
          )) as SpoolFs["writeSync"],
    );
    const { writer, directory } = open(fs);
    append(writer, 50);
    await writer.durable(50, true);
    writer.close();
    expect(readAll(directory).seqs).toEqual(range(1, 50));
  });

  it("memory is bounded while the disk refuses", async () => {
    const fs = failing(
      "writeSync",
      (real) =>
        ((fd: number, bytes: Buffer, offset: number, length: number) => {
          if (length > HEADER_BYTES) throw errno("EIO");
          return real(fd, bytes, offset, length);
        }) as SpoolFs["writeSync"],
    );
    const { writer } = open(fs, { memoryBytes: 20_000 });
    let taken = 0;
    while (!writer.memoryFull && taken < 10_000) {
      append(writer, 1);
      taken += 1;
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toBeLessThan(1_000);
    writer.close();
  });

  it("a busy event loop does not pass for a stalling disk: nothing is refused", async () => {
    const { writer, directory } = open(spoolFs, { memoryBytes: 1e6, segmentBytes: 1e8 });
    append(writer, 1);
    await writer.durable(1, false);
    // The sync's delay passes, so that one is under way while the loop below never lets its callback run.
    await new Promise((resolve) => setTimeout(resolve, 60));
    const end = performance.now() + 1_500;
    let refused = 0;
    while (performance.now() < end) {
      append(writer, 50);
      if (writer.memoryFull) refused += 1;
    }
    expect(refused).toBe(0);
    await writer.durable(writer.lastSeq, true);
    writer.close();
    expect(readAll(directory).seqs.length).toBe(writer.lastSeq);
  });

  it("a disk that stalls while the event loop turns makes memory full, and is forgiven when it answers", async () => {
    let asked = false;
    let answer = (): void => {};
    const fs = failing("fdatasync", (real) =>
      Object.assign(
        (_: number, callback: (error: NodeJS.ErrnoException | null) => void) => {
          asked = true;
          answer = () => callback(null);
        },
        { __promisify__: real.__promisify__ },
      ),
    );
    const { writer } = open(fs, { memoryBytes: 1_000 });
    append(writer, 1);
    void writer.durable(1, true);
    await expect.poll(() => asked).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    // The writer's timer ran first, and so did what it put off until the end of the turn.
    await new Promise((resolve) => setImmediate(resolve));
    append(writer, 30);
    expect(writer.memoryFull).toBe(true);
    answer();
    expect(writer.memoryFull).toBe(false);
    writer.close();
  });

  it("strict: flushSync returns with the event on disk, or throws", () => {
    let refuse = false;
    const fs = failing("fdatasyncSync", (real) => (fd) => {
      if (refuse) throw errno("EIO");
      real(fd);
    });
    const { writer, directory } = open(fs);
    append(writer, 1);
    writer.flushSync();
    expect(writer.syncedSeq).toBe(1);
    expect(readAll(directory, 1).seqs).toEqual([1]);
    refuse = true;
    append(writer, 1);
    expect(() => writer.flushSync()).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_WRITE" }));
    expect(writer.syncedSeq).toBe(1);
    writer.close();
  });

  it("a slab is not used again while one of its events is not on disk", async () => {
    const { writer, directory } = open(spoolFs, { segmentBytes: 1e7, memoryBytes: 1e8 });
    for (let round = 0; round < 40; round++) {
      append(writer, 700);
      if (round % 3 === 0) await writer.durable(writer.lastSeq, true);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    await writer.durable(writer.lastSeq, true);
    writer.close();
    expect(readAll(directory).texts).toEqual(range(1, 28_000).map(payload));
  });

  it("deleting takes only segments that were passed completely, and reading continues after them", async () => {
    const { writer, directory } = open();
    await appendSlowly(writer, 3_000);
    const before = readdirSync(directory).filter((name) => name.endsWith(".seg"));
    deleteShipped(spoolFs, directory, 2_000, () => {});
    const after = readdirSync(directory).filter((name) => name.endsWith(".seg"));
    expect(after.length).toBeLessThan(before.length);
    expect(readAll(directory, 3_000, 2_000).seqs).toEqual(range(2_001, 3_000));
    deleteShipped(spoolFs, directory, 3_000, () => {});
    expect(readdirSync(directory).filter((name) => name.endsWith(".seg"))).toHaveLength(1);
    writer.close();
  });
});

describe("ownership", () => {
  it("a living process's source is not taken over, a released one is, and the old owner notices", () => {
    openRoot(spoolFs, root);
    const owned = createSource(spoolFs, root, ID);
    expect(adoptSource(spoolFs, root, ID, "other", new OwnerWatch())).toBeUndefined();
    release(spoolFs, owned);
    expect(stillOwns(spoolFs, owned)).toBe(true);
    const adopted = adoptSource(spoolFs, root, ID, "other", new OwnerWatch());
    expect(adopted?.owned.epoch).toBe(2);
    expect(adopted?.key).toBe(owned.key);
    expect(stillOwns(spoolFs, owned)).toBe(false);
    removeSource(spoolFs, root, owned.directory);
    expect(listSources(spoolFs, root)).toEqual([]);
  });

  it("a process with the same id and another start time is not the owner", () => {
    const owned = createSource(spoolFs, root, ID);
    const path = join(owned.directory, "owner.1");
    const owner = JSON.parse(readFileSync(path, "utf8")) as { start: string };
    writeFileSync(path, JSON.stringify({ ...owner, start: `${owner.start}0` }));
    expect(takeOver(spoolFs, owned.directory, "other", new OwnerWatch())?.epoch).toBe(2);
  });

  it.each(["writeSync", "fsyncSync"] as const)(
    "a take-over that %s refused leaves nothing in the next one's way",
    (name) => {
      const owned = createSource(spoolFs, root, ID);
      release(spoolFs, owned);
      const refuse = failing(name, () => () => {
        throw errno("EIO");
      });
      expect(() => takeOver(refuse, owned.directory, "other", new OwnerWatch())).toThrow("EIO");
      expect(takeOver(spoolFs, owned.directory, "next", new OwnerWatch())?.epoch).toBe(2);
    },
  );

  it("the key is found even when the owner's file has another one", async () => {
    const { writer, directory } = open();
    append(writer, 1);
    writer.close();
    const path = join(directory, "owner.1");
    const owner = JSON.parse(readFileSync(path, "utf8")) as { key: string };
    const key = owner.key.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    writeFileSync(path, JSON.stringify({ ...owner, key, released: true }));
    expect(adoptSource(spoolFs, root, ID, "other", new OwnerWatch())?.key).toBe(owner.key);
  });

  it("of many simultaneous attempts one succeeds", () => {
    const owned = createSource(spoolFs, root, ID);
    release(spoolFs, owned);
    const winners = range(1, 20).filter(
      (n) => takeOver(spoolFs, owned.directory, `holder ${n}`, new OwnerWatch()) !== undefined,
    );
    expect(winners).toHaveLength(1);
  });

  /** A source whose owner cannot be looked up from here, with a file of the given age by this machine's clock. */
  function foreign(age: number): { directory: string; renew: () => void } {
    const { directory } = createSource(spoolFs, root, ID);
    const path = join(directory, "owner.1");
    const owner = JSON.parse(readFileSync(path, "utf8")) as object;
    writeFileSync(path, JSON.stringify({ ...owner, space: "elsewhere pid:[1]", pid: 1 }));
    let renewals = 0;
    const renew = (): void => {
      const then = new Date(Date.now() - age + renewals++ * 3_000);
      nodeFs.utimesSync(path, then, then);
    };
    renew();
    return { directory, renew };
  }

  it.each([6 * 60_000, -3_600_000])("an owner elsewhere is watched, whatever the clocks say: %i ms", (age) => {
    const { directory, renew } = foreign(age);
    let now = 0;
    const watch = new OwnerWatch(() => now);
    for (now of [0, 3_000, 9_000]) {
      renew();
      expect(takeOver(spoolFs, directory, "other", watch)).toBeUndefined();
    }
    for (now of [14_000, 19_000, 23_999]) expect(takeOver(spoolFs, directory, "other", watch)).toBeUndefined();
    now = 24_000;
    expect(takeOver(spoolFs, directory, "other", watch)).toMatchObject({ epoch: 2, unproven: true });
  });

  it("an owner that may be alive is not forgotten when its successor has left", () => {
    const { directory } = foreign(6 * 60_000);
    let now = 0;
    const watch = new OwnerWatch(() => now);
    for (now of [0, 5_000, 10_000]) expect(takeOver(spoolFs, directory, "other", watch)).toBeUndefined();
    now = 15_000;
    const other = takeOver(spoolFs, directory, "other", watch);
    expect(takeOver(spoolFs, directory, "other", watch)).toEqual(other);
    if (other !== undefined) release(spoolFs, other);
    expect(takeOver(spoolFs, directory, "next", watch)).toMatchObject({ epoch: 3, unproven: true });
  });

  it("the writer notices before its next write that it was replaced", async () => {
    const { writer, directory, calls } = open();
    append(writer, 1);
    await writer.durable(1, true);
    writeFileSync(join(directory, "owner.2"), "{}");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    append(writer, 2);
    await expect(writer.durable(3, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
    await expect.poll(() => calls).toContain("lost");
    expect(writer.unwrittenPayloads().map(String)).toEqual([payload(2), payload(3)]);
  });

  it("the writer notices that it was replaced even after its clock was set back", async () => {
    vi.setSystemTime(new Date("9999-01-01"));
    const { writer, directory } = open();
    append(writer, 1);
    await writer.durable(1, true);
    writeFileSync(join(directory, "owner.2"), "{}");
    vi.useRealTimers();
    append(writer, 1);
    await expect(writer.durable(2, true)).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  });

  it.each([-9_999, 1900, 1969, 9999, 275_000])("a clock in the year %i does not stop it", async (year) => {
    vi.setSystemTime(new Date(0).setUTCFullYear(year, 6, 1));
    const { writer, directory } = open();
    append(writer, 1_000);
    await writer.durable(1_000, true);
    expect(readAll(directory)).toMatchObject({ seqs: range(1, 1_000), damaged: [] });
  });

  it("a root is durable with every folder above it that had to be created", () => {
    const calls: string[] = [];
    const logged = <K extends keyof SpoolFs>(name: K): SpoolFs[K] =>
      ((...args: unknown[]) => {
        const result = (spoolFs[name] as (...args: unknown[]) => unknown)(...args);
        calls.push(`${name} ${String(args[0])} ${name === "openSync" ? String(result) : ""}`.trim());
        return result;
      }) as SpoolFs[K];
    const fs = {
      ...nodeFs,
      mkdirSync: logged("mkdirSync"),
      openSync: logged("openSync"),
      fsyncSync: logged("fsyncSync"),
    };
    openRoot(fs, join(root, "var", "seclog"));
    const synced = calls.flatMap((call, index) => {
      const opened = /^openSync (.+) (\d+)$/.exec(call);
      return opened !== null && calls[index + 1] === `fsyncSync ${opened[2]}` ? [opened[1]] : [];
    });
    expect(synced).toEqual([root, join(root, "var")]);
  });

  it("a root that others may write to, or a link, is refused by name", () => {
    for (const mode of [0o777, 0o1777, 0o770, 0o702]) {
      nodeFs.chmodSync(root, mode);
      expect(() => openRoot(spoolFs, root)).toThrow(
        `spool.directory ${JSON.stringify(root)} is writable by other users (mode ${mode.toString(8)}): run chmod go-w`,
      );
    }
    nodeFs.chmodSync(root, 0o700);
    const link = join(root, "link");
    nodeFs.symlinkSync(root, link);
    expect(() => openRoot(spoolFs, link)).toThrow(/symbolic link/);
  });
});
