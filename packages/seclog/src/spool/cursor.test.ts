import { describe, expect, it } from "vitest";
import { ModelFs } from "#test/support/model-fs.ts";
import { readCursor, writeCursor } from "./cursor.ts";

const PATH = "/cursor.h";

describe("writeCursor()", () => {
  it("returns the last number that was kept", () => {
    const fs = new ModelFs(1).process();
    expect(readCursor(fs, "/", "h").seq).toBe(0);
    expect(readCursor(fs, "/", "h").state).toBe("missing");
    for (const seq of [0, 1, 9, 10, 123_456_789_012_345]) {
      writeCursor(fs, "/", "h", seq);
      expect(readCursor(fs, "/", "h").seq).toBe(seq);
      expect(readCursor(fs, "/", "h").state).toBe("whole");
    }
  });

  it("a power loss at any moment leaves this number or the one before", () => {
    for (let seed = 0; seed < 50; seed++) {
      for (let after = 0; after < 8; after++) {
        const disk = new ModelFs(seed);
        const fs = disk.process();
        for (const seq of [3, 5]) writeCursor(fs, "/", "h", seq);
        const directory = fs.openSync("/", "r");
        fs.fsyncSync(directory);
        disk.schedule(after, () => disk.crash("power"));
        try {
          writeCursor(fs, "/", "h", 9);
        } catch {
          // The process has ended.
        }
        disk.crash("power");
        expect([5, 9]).toContain(readCursor(disk.process(), "/", "h").seq);
      }
    }
  });

  it("is overwritten in place: a full disk, which takes neither a new file nor a longer one, does not refuse it", () => {
    const disk = new ModelFs(1);
    const fs = disk.process();
    for (const seq of [3, 5]) writeCursor(fs, "/", "h", seq);
    const size = disk.file(PATH)?.cache.length;
    const opened: unknown[] = [];
    const openSync = ((...args: Parameters<typeof fs.openSync>) => {
      opened.push(args[0]);
      return fs.openSync(...args);
    }) as typeof fs.openSync;
    writeCursor({ ...fs, openSync }, "/", "h", 7);
    expect(opened).toEqual([PATH]);
    expect(readCursor(fs, "/", "h").seq).toBe(7);
    expect(disk.file(PATH)?.cache.length).toBe(size);
  });

  it("a short write is not a cursor", () => {
    const disk = new ModelFs(1);
    const fs = disk.process();
    writeCursor(fs, "/", "h", 3);
    disk.inject({ calls: "write", after: 1, count: 1, code: "SHORT" });
    expect(() => writeCursor(fs, "/", "h", 5)).toThrow("short write");
    // The rest may equal that of the line of 3 that is overwritten.
    expect([3, 5]).toContain(readCursor(fs, "/", "h").seq);
  });
});

describe("readCursor()", () => {
  it("a flipped bit, zeros or a cut never move it forward", () => {
    const disk = new ModelFs(1);
    const fs = disk.process();
    for (const seq of [300, 500]) writeCursor(fs, "/", "h", seq);
    const whole = Buffer.from(disk.file(PATH)?.cache ?? "");
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(whole);
        flipped[at] = (whole[at] ?? 0) ^ (1 << bit);
        disk.damage(PATH, () => flipped);
        expect([300, 500]).toContain(readCursor(fs, "/", "h").seq);
        expect(readCursor(fs, "/", "h").state).toBe("damaged");
      }
      disk.damage(PATH, () => whole.subarray(0, at));
      expect(readCursor(fs, "/", "h").state).toBe("damaged");
      expect([0, 300, 500]).toContain(readCursor(fs, "/", "h").seq);
      disk.damage(PATH, () => Buffer.concat([whole.subarray(0, at), Buffer.alloc(whole.length - at)]));
      expect([0, 300, 500]).toContain(readCursor(fs, "/", "h").seq);
    }
  });
});
