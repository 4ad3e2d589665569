import { Buffer } from "node:buffer";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ModelFs } from "#test/support/model-fs.ts";
import { writeCursor } from "./cursor.ts";
import type { SpoolFs } from "./fs.ts";
import { SpoolReader } from "./reader.ts";
import { encodeHeader, FRAME_BYTES, frameSlab, HEADER_BYTES, sealFrame, segmentName } from "./segment.ts";
import { deleteShipped, removeSource } from "./source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
const ROOT = "/spool";
const DIRECTORY = join(ROOT, ID);
/** Of a payload. */
let size: number;
const payload = (seq: number): string => `event ${seq}`.padEnd(size, ".");
const FRAME = FRAME_BYTES + 7;
let disk: ModelFs;
let fs: SpoolFs;

beforeEach(() => {
  size = 7;
  disk = new ModelFs(1);
  fs = disk.process();
  fs.mkdirSync(ROOT);
  fs.mkdirSync(DIRECTORY);
});

/** A segment with the events from `first` to `last`, as a writer leaves it. */
function segment(number: number, first: number, last: number): void {
  const slab = frameSlab((last - first + 1) * (FRAME_BYTES + size + 8));
  let end = 0;
  for (let seq = first; seq <= last; seq++) {
    slab.bytes.write(payload(seq), end + FRAME_BYTES);
    end = sealFrame(slab, end, payload(seq).length, seq);
  }
  const header = encodeHeader({ sourceId: ID, key: "0".repeat(32), firstSeq: first, epoch: 1 }, 0);
  file(number, Buffer.concat([header, slab.bytes.subarray(0, end)]));
}

function file(number: number, bytes: Buffer): void {
  const fd = fs.openSync(join(DIRECTORY, segmentName(number)), "wx");
  if (bytes.length > 0) fs.writeSync(fd, bytes, 0, bytes.length);
  fs.closeSync(fd);
}

/** Flips a bit in each of some bytes of a segment's file. */
function flip(number: number, at: number, length = 1): void {
  disk.damage(join(DIRECTORY, segmentName(number)), (bytes) => {
    for (let byte = at; byte < Math.min(bytes.length, at + length); byte++) bytes[byte] = (bytes[byte] ?? 0) ^ 1;
    return bytes;
  });
}

/** An offset within the payload of the n-th event of its segment, counted from 0. */
const inHead = (index: number): number => HEADER_BYTES + index * FRAME;
const inPayload = (index: number): number => inHead(index) + FRAME_BYTES + 2;

/** What is read up to the limit, as `1-3 !4 5`. */
function read(limit?: number, afterSeq = 0): string {
  const reader = new SpoolReader(fs, DIRECTORY, afterSeq);
  const found: string[] = [];
  for (let got = reader.read(limit, 100, 1e6); got.kind !== "end"; got = reader.read(limit, 100, 1e6)) {
    const last = got.kind === "damage" ? got.lastSeq : got.firstSeq + got.records.length - 1;
    const numbers = last === got.firstSeq ? `${last}` : `${got.firstSeq}-${last}`;
    found.push(`${got.kind === "damage" ? "!" : ""}${numbers}`);
  }
  reader.close();
  return found.join(" ");
}

describe("SpoolReader", () => {
  it.each([undefined, 8])(
    "a folder that is away for any one call is neither damage nor the end (limit %s)",
    (limit) => {
      segment(1, 1, 4);
      segment(2, 3, 6);
      segment(3, 7, 8);
      for (let away = 1; ; away++) {
        let calls = 0;
        const unless = <T extends (...args: never[]) => unknown>(call: T): T =>
          ((...args: never[]) => {
            calls += 1;
            if (calls === away) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
            return call(...args);
          }) as T;
        const found: string[] = [];
        const own = Object.assign(Object.create(fs) as SpoolFs, {
          openSync: unless(fs.openSync.bind(fs)),
          readdirSync: unless(fs.readdirSync.bind(fs)),
          lstatSync: unless(fs.lstatSync.bind(fs)),
        });
        // As a lane does: after a failure it restarts after the last event it has.
        let acknowledged = 0;
        for (let ended = false; !ended; ) {
          const reader = new SpoolReader(own, DIRECTORY, acknowledged);
          try {
            for (let got = reader.read(limit, 1, 1e6); got.kind !== "end"; got = reader.read(limit, 1, 1e6)) {
              acknowledged = got.kind === "damage" ? got.lastSeq : got.firstSeq;
              found.push(got.kind === "damage" ? `!${acknowledged}` : `${acknowledged}`);
            }
            ended = true;
          } catch (error) {
            expect(error).toMatchObject({ code: "ENOENT" });
          }
          reader.close();
        }
        expect([away, found.join(" ")]).toEqual([away, "1 2 3 4 5 6 7 8"]);
        if (calls < away) break;
      }
    },
  );

  it("unreadable bytes are reported once, however often they are read, and however much was deleted since", () => {
    segment(1, 1, 3);
    file(2, Buffer.alloc(500, "?"));
    writeCursor(fs, DIRECTORY, "ahead", 3);
    expect(read(undefined, 3)).toBe("!4");
    expect(read(undefined, 4)).toBe("");
    fs.unlinkSync(join(DIRECTORY, segmentName(1)));
    expect(read(undefined, 4)).toBe("");
    expect(read(undefined, 3)).toBe("!4");
  });

  it("whole events are read even while the end cannot be kept", () => {
    segment(1, 1, 3);
    file(2, Buffer.alloc(500, "?"));
    const real = fs;
    fs = Object.assign(Object.create(real) as SpoolFs, {
      openSync: (path: string, flags: string | number, ...more: never[]): number => {
        if (path.endsWith("cursor.~end") && typeof flags === "string") throw new Error("ENOSPC");
        return real.openSync(path, flags, ...more);
      },
    });
    const reader = new SpoolReader(fs, DIRECTORY, 0);
    expect(reader.read(undefined, 100, 1e6)).toMatchObject({ kind: "records", firstSeq: 1 });
    expect(() => reader.read(undefined, 100, 1e6)).toThrow("ENOSPC");
    fs = real;
    expect(read()).toBe("1-3 !4");
  });

  it("without any number, the end is after what any handler has", () => {
    file(1, Buffer.alloc(500, "?"));
    writeCursor(fs, DIRECTORY, "ahead", 3);
    writeCursor(fs, DIRECTORY, "behind", 1);
    expect(read(undefined, 1)).toBe("!2-4");
    expect(read(undefined, 3)).toBe("!4");
    writeCursor(fs, DIRECTORY, "ahead", 4);
    expect(read(undefined, 4)).toBe("");
  });

  it("close() - closes a descriptor once, whatever the system returns", () => {
    segment(1, 1, 1);
    const closed: number[] = [];
    let refusing = false;
    const own: SpoolFs = Object.assign(Object.create(fs) as SpoolFs, {
      closeSync: (fd: number): void => {
        fs.closeSync(fd);
        if (!refusing) return;
        closed.push(fd);
        throw new Error("EIO");
      },
    });
    const reader = new SpoolReader(own, DIRECTORY, 0);
    expect(reader.read(1, 1, 1e6)).toMatchObject({ kind: "records" });
    refusing = true;
    expect(() => reader.close()).toThrow("EIO");
    reader.close();
    expect(closed).toHaveLength(1);
  });

  it("names every damaged record at a dead source's end whose head is whole", () => {
    segment(1, 1, 4);
    for (const index of [1, 2, 3]) flip(1, inPayload(index));
    expect(read()).toBe("1 !2 !3 !4");
  });

  it("a damaged record with a whole head shows its number, whatever is missing before it", () => {
    segment(1, 1, 3);
    for (const index of [1, 2]) flip(1, inPayload(index) - FRAME_BYTES);
    segment(2, 4, 5);
    flip(2, 10);
    for (const index of [0, 1]) flip(2, inPayload(index));
    // The position of the first of two damaged heads hides the other one; but its number is not given to another.
    expect(read()).toBe("1 !2-5");
  });

  it("a head damaged in two places does not pass for a frame that was cut", () => {
    segment(1, 1, 1);
    // The highest bits of the check and of the length: the check passes again.
    for (const at of [7, 15]) {
      disk.damage(join(DIRECTORY, segmentName(1)), (bytes) => {
        bytes[HEADER_BYTES + at] = (bytes[HEADER_BYTES + at] ?? 0) ^ 0x80;
        return bytes;
      });
    }
    expect(read()).toBe("!1");
  });

  it("a segment that was just begun when the process died does not hide damage in the one before", () => {
    segment(1, 1, 2);
    flip(1, inPayload(1));
    file(2, Buffer.alloc(0));
    expect(read()).toBe("1 !2");
  });

  it("damage ends where a newer segment has what an abandoned one lost", () => {
    segment(1, 1, 5);
    segment(2, 3, 6);
    for (const index of [1, 2, 3]) flip(1, inPayload(index));
    expect(read()).toBe("1 !2 3-6");
  });

  it("a newer segment with a damaged header is placed by its first record", () => {
    segment(1, 1, 5);
    segment(2, 9, 9);
    segment(3, 3, 9);
    flip(1, inPayload(2));
    flip(3, 10);
    expect(read()).toBe("1-9");
  });

  it("reports no damage beyond the limit", () => {
    segment(1, 1, 4);
    for (const index of [0, 1, 2]) flip(1, inPayload(index));
    const reader = new SpoolReader(fs, DIRECTORY, 0);
    expect(reader.read(2, 100, 1e6)).toMatchObject({ kind: "damage", firstSeq: 1, lastSeq: 2 });
    expect(reader.read(2, 100, 1e6)).toEqual({ kind: "end" });
    expect(reader.read(4, 100, 1e6)).toMatchObject({ kind: "damage", firstSeq: 3, lastSeq: 3 });
    expect(reader.read(4, 100, 1e6)).toMatchObject({ kind: "records", firstSeq: 4 });
    reader.close();
  });
});

describe("SpoolReader, where a rewrite was cut off by the death of its process", () => {
  /** The size that a segment is cut to. */
  const cut = (number: number, bytes: number): void =>
    disk.damage(join(DIRECTORY, segmentName(number)), (whole) => whole.subarray(0, bytes));

  it.each([
    ["only its header", HEADER_BYTES],
    ["nothing", 0],
    ["one record and a half", HEADER_BYTES + FRAME + 20],
  ])("reads on in the abandoned segment, whose rest is as good, when the new one has %s", (_, bytes) => {
    segment(1, 1, 5);
    segment(2, 6, 9);
    segment(3, 10, 12);
    segment(4, 6, 12);
    cut(4, bytes);
    expect(read()).toBe("1-12");
    for (let after = 5; after < 12; after++) expect(read(undefined, after)).toMatch(/12$/);
  });

  it("finds the rest of a segment that was partly on disk", () => {
    segment(1, 1, 9);
    segment(2, 6, 9);
    cut(2, HEADER_BYTES + 2 * FRAME);
    expect(read()).toBe("1-9");
    expect(read(undefined, 5)).toBe("6-9");
    expect(read(undefined, 8)).toBe("9");
  });

  it("finds what several attempts left", () => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    segment(3, 4, 9);
    segment(4, 4, 9);
    cut(4, HEADER_BYTES + FRAME);
    flip(3, inPayload(1));
    expect(read()).toBe("1-9");
  });
});

describe("SpoolReader, where segments that overlap are damaged", () => {
  it("reports a rewrite that is damaged from its first event on", () => {
    segment(1, 1, 5);
    segment(2, 4, 8);
    flip(2, inHead(0), 5 * FRAME);
    expect(read()).toBe("1-5 !6");
  });

  it("reports a rewrite in which every head is damaged", () => {
    segment(1, 1, 5);
    segment(2, 4, 8);
    for (let index = 0; index < 5; index++) flip(2, inHead(index));
    expect(read()).toBe("1-5 !6");
  });

  it.each([0, 3])("does not report an event that an earlier segment has whole, after %i", (after) => {
    segment(1, 1, 9);
    segment(2, 4, 9);
    flip(1, inPayload(4));
    flip(2, inHead(1), 3 * FRAME);
    expect(read(undefined, after)).toBe(`${after + 1 === 4 ? "4" : "1-4"} !5 6-9`);
  });

  it("reports what only an abandoned segment had, and reads what it has after that", () => {
    segment(1, 1, 1);
    segment(2, 2, 3);
    segment(3, 1, 1);
    disk.damage(join(DIRECTORY, segmentName(3)), (bytes) => bytes.subarray(0, HEADER_BYTES));
    flip(1, inHead(0));
    expect(read()).toBe("!1 2-3");
  });
});

describe("SpoolReader, on a dead source, after a segment of garbage", () => {
  it.each([6, 8_003])("reports the numbers up to %i once", (last) => {
    size = 1_000;
    segment(1, 1, 3);
    segment(2, 4, last);
    segment(3, last + 1, last + 3);
    flip(2, 0, 10_000_000);
    expect(read()).toBe(`1-3 !4-${last} ${last + 1}-${last + 3}`);
    expect(read(undefined, last + 1)).toBe(`${last + 2}-${last + 3}`);
    expect(read(undefined, last + 3)).toBe("");
  });

  it("reports one number, since it may have been any number of events, however often it is read", () => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    flip(2, 0, 10_000);
    expect(read()).toBe("1-3 !4");
    for (const after of [4, 5, 6]) expect(read(undefined, after)).toBe("");
  });

  it("trusts no head with a number that cannot be the next", () => {
    segment(1, 1, 2);
    // The highest bits of the check and of the number: the check passes again.
    for (const at of [7, 19]) {
      disk.damage(join(DIRECTORY, segmentName(1)), (bytes) => {
        bytes[inHead(1) + at] = (bytes[inHead(1) + at] ?? 0) ^ 0x80;
        return bytes;
      });
    }
    expect(read()).toBe("1 !2");
  });

  it("reports the number after those read, when no number is left", () => {
    segment(2, 4, 4);
    flip(2, 0, 10_000);
    expect(read(undefined, 3)).toBe("!4");
  });

  it("reports one number for megabytes after the last event", () => {
    segment(1, 1, 3);
    disk.damage(join(DIRECTORY, segmentName(1)), (bytes) => Buffer.concat([bytes, Buffer.alloc(9 * 1024 * 1024, 7)]));
    expect(read()).toBe("1-3 !4");
  });

  it.each([undefined, 3_000])("reads whole events after a header and a MiB of garbage, up to %s", (limit) => {
    size = 1_000;
    segment(1, 1, 3);
    segment(2, 4, 3_000);
    flip(2, 0, HEADER_BYTES + 1_100 * (FRAME_BYTES + size));
    expect(read(limit)).toMatch(/^1-3 !4-1103 1104-.*3000$/);
  });
});

describe("SpoolReader, while the directory is away", () => {
  it.each([0, 1])("reports neither a dead source's end nor damage, after %i reads", (reads) => {
    for (const number of [1, 2, 3]) segment(number, number, number);
    const reader = new SpoolReader(fs, DIRECTORY, 0);
    for (let count = 0; count < reads; count++) reader.read(undefined, 1, 1e6);
    disk.move(DIRECTORY, `${DIRECTORY}-away`);
    expect(() => reader.read(undefined, 1, 1e6)).toThrow("ENOENT");
    disk.move(`${DIRECTORY}-away`, DIRECTORY);
    expect(read(undefined, reader.nextSeq - 1)).toBe(reads === 0 ? "1-3" : "2-3");
  });

  it.each([0, 1])("reports no damage beside a writer, after %i reads", (reads) => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    segment(3, 7, 9);
    const reader = new SpoolReader(fs, DIRECTORY, 0);
    for (let count = 0; count < reads; count++) reader.read(9, 3, 1e6);
    disk.move(DIRECTORY, `${DIRECTORY}-away`);
    const all = (): void => {
      while (reader.read(9, 3, 1e6).kind === "records");
    };
    expect(all).toThrow("ENOENT");
    disk.move(`${DIRECTORY}-away`, DIRECTORY);
    expect(read(9, reader.nextSeq - 1)).toBe(reads === 0 ? "1-9" : "4-9");
    // A file that is missing from an existing directory is damage.
    fs.unlinkSync(join(DIRECTORY, segmentName(2)));
    expect(read(9)).toBe("1-3 !4-6 7-9");
  });
});

describe("SpoolReader beside a writer", () => {
  it("damage found after records ends at the limit of that time", () => {
    segment(1, 1, 7);
    for (const index of [1, 2, 3, 4]) flip(1, inPayload(index));
    const reader = new SpoolReader(fs, DIRECTORY, 0);
    expect(reader.read(2, 100, 1e6)).toMatchObject({ kind: "records", firstSeq: 1 });
    // The sync of what follows fails, and it is written again.
    segment(2, 3, 7);
    expect(reader.read(7, 100, 1e6)).toMatchObject({ kind: "damage", firstSeq: 2, lastSeq: 2 });
    expect(reader.read(7, 100, 1e6)).toMatchObject({ kind: "records", firstSeq: 3 });
    reader.close();
  });
});

/** Bytes that were freed. */
function deleteUpTo(seq: number): number {
  let freed = 0;
  deleteShipped(fs, DIRECTORY, seq, (bytes) => {
    freed += bytes;
  });
  return freed;
}

describe("deleteShipped()", () => {
  it("keeps a segment that reaches past the start of the next one", () => {
    segment(1, 1, 3);
    segment(2, 4, 9);
    segment(3, 6, 9);
    expect(deleteUpTo(5)).toBeGreaterThan(0);
    expect(disk.names(DIRECTORY)).toEqual([2, 3].map(segmentName));
    deleteUpTo(9);
    expect(disk.names(DIRECTORY)).toEqual([segmentName(3)]);
  });

  it.each([
    ["payload", FRAME_BYTES],
    ["head", 0],
  ])("keeps a segment with a damaged event that is not reported yet, by its %s", (_, at) => {
    segment(1, 1, 2);
    segment(2, 1, 1);
    flip(1, inHead(1) + at);
    expect(read()).toBe("1 !2");
    deleteUpTo(1);
    expect(read(undefined, 1)).toBe("!2");
  });

  it("is not held up by a damaged header", () => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    segment(3, 7, 9);
    flip(2, 10);
    expect(deleteUpTo(7)).toBeGreaterThan(0);
    expect(disk.names(DIRECTORY)).toEqual([segmentName(3)]);
  });

  it("reports what it freed although the next unlink is refused, and leaves no hole", () => {
    for (const number of [1, 2, 3, 4]) segment(number, number, number);
    disk.inject({ calls: "write", after: 1, count: 1, code: "EIO" });
    let freed = 0;
    const count = (bytes: number): void => {
      freed += bytes;
    };
    expect(() => deleteShipped(fs, DIRECTORY, 3, count)).toThrow("EIO");
    expect(freed).toBe(HEADER_BYTES + FRAME);
    expect(disk.names(DIRECTORY)).toEqual([2, 3, 4].map(segmentName));
  });
});

describe("removeSource()", () => {
  it.each([0, 1, 2, 3, 4])("repeats events and misses none when stopped after %i files", (after) => {
    for (const number of [1, 2, 3]) segment(number, number, number);
    disk.inject({ calls: "write", after, count: 1, code: "EIO" });
    try {
      removeSource(fs, ROOT, DIRECTORY);
    } catch {
      // The next process finds what is left.
    }
    // Adoption first lists what is there.
    if (disk.names(ROOT).includes(ID)) expect(read()).not.toContain("!");
  });
});
