import { Buffer } from "node:buffer";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { ModelFs } from "#test/support/model-fs.ts";
import type { SeclogError } from "../event/errors.ts";
import { writeCursor } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { encodeHeader, FRAME_BYTES, frameSlab, HEADER_BYTES, sealFrame, segmentName } from "../spool/segment.ts";
import { type FileSourceOptions, fileSource } from "./file-source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
let disk: ModelFs;
let fs: SpoolFs;
let warnings: SeclogError[];

/** A source whose events before 1001 are deleted; its one segment is empty. */
beforeEach(() => {
  warnings = [];
  disk = new ModelFs(1);
  fs = disk.process();
  fs.mkdirSync("/source");
  segment(7, 1_001, 1_000);
});

/** Writes a segment of whole events, then overwrites its first `garbled` bytes. Returns its size. */
function segment(number: number, firstSeq: number, lastSeq: number, garbled: number = 0): number {
  const slab = frameSlab(64 * 1024);
  let end = 0;
  for (let seq = firstSeq; seq <= lastSeq; seq++) {
    const length = slab.bytes.write(`{"seq":${seq}}`.padEnd(100), end + FRAME_BYTES);
    end = sealFrame(slab, end, length, seq);
  }
  const header = encodeHeader({ sourceId: ID, key: "0".repeat(32), firstSeq, epoch: 1 }, 0);
  const bytes = Buffer.concat([header, slab.bytes.subarray(0, end)]).fill("?", 0, garbled);
  const fd = fs.openSync(join("/source", segmentName(number)), "wx");
  fs.writeSync(fd, bytes, 0, bytes.length);
  fs.closeSync(fd);
  return bytes.length;
}

function options(more: Partial<FileSourceOptions> = {}): FileSourceOptions {
  const warn = (warning: SeclogError): number => warnings.push(warning);
  return {
    fs,
    directory: "/source",
    id: ID,
    epoch: 1,
    key: "",
    limit: () => undefined,
    freed: () => {},
    warn,
    ...more,
  };
}

function loadCursor(): number {
  return fileSource(options()).loadCursor("h");
}

function damageCursor(): void {
  writeCursor(fs, "/source", "h", 1);
  disk.damage("/source/cursor.h", () => Buffer.alloc(64, "x"));
}

it("loadCursor() - starts a new handler at 0, even if the first events are deleted: a store refuses a source without its beginning", () => {
  expect(loadCursor()).toBe(0);
  expect(warnings).toEqual([]);
});

it("loadCursor() - starts a handler whose cursor is damaged at the first event that is left, and reports that", () => {
  damageCursor();
  expect(loadCursor()).toBe(1_000);
  expect(warnings).toMatchObject([{ code: "SECLOG_SPOOL_CORRUPT" }]);
});

it("loadCursor() - assumes no deletion when the header of the oldest segment is damaged, so that the damage is reported", () => {
  damageCursor();
  writeCursor(fs, "/source", "other", 1_015);
  fs.unlinkSync(join("/source", segmentName(7)));
  segment(7, 1_001, 1_010, 512);
  expect(loadCursor()).toBe(0);
});

it("release() - reports every freed byte although reading fails halfway through", () => {
  const size = segment(8, 1_001, 1_010);
  for (const number of [9, 10, 11]) segment(number, 1_001 + 10 * (number - 8), 1_010 + 10 * (number - 8));
  let freed = 0;
  let failing = true;
  const faulty = Object.assign(Object.create(fs) as SpoolFs, {
    openSync: ((...args: Parameters<SpoolFs["openSync"]>) => {
      if (failing && freed > size) throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
      return fs.openSync(...args);
    }) as SpoolFs["openSync"],
  });
  const source = fileSource(options({ fs: faulty, freed: (bytes) => (freed += bytes) }));
  expect(() => source.release(1_040)).toThrow("EMFILE");
  failing = false;
  source.release(1_040);
  // The empty segment, and all but the last one.
  expect(freed).toBe(HEADER_BYTES + 3 * size);
});

it("loadCursor() - throws while the cursor cannot be opened, and does not take it for a missing one", () => {
  writeCursor(fs, "/source", "h", 1_005);
  const real = fs.openSync.bind(fs);
  fs = Object.assign(Object.create(fs) as SpoolFs, {
    openSync: () => {
      fs.openSync = real;
      throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    },
  });
  expect(() => loadCursor()).toThrow("ENOENT");
  expect(loadCursor()).toBe(1_005);
  disk.move("/source", "/away");
  expect(() => loadCursor()).toThrow("ENOENT");
});

it("loadCursor() - continues after an intact cursor even if the next events are missing, which Seclog did not delete", () => {
  writeCursor(fs, "/source", "h", 3);
  expect(loadCursor()).toBe(3);
  expect(warnings).toEqual([]);
});
