import { Buffer } from "node:buffer";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { ModelFs } from "../../../../test/support/model-fs.ts";
import type { SeclogError } from "../event/errors.ts";
import { writeCursor } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { encodeHeader, segmentName } from "../spool/segment.ts";
import { fileSource } from "./file-source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
let fs: SpoolFs;
let warnings: SeclogError[];

/** A source of which the events before 1001 are deleted. */
beforeEach(() => {
  warnings = [];
  fs = new ModelFs(1).process();
  fs.mkdirSync("/source");
  const fd = fs.openSync(join("/source", segmentName(7)), "wx");
  const header = encodeHeader({ sourceId: ID, key: "0".repeat(32), firstSeq: 1_001, epoch: 1 }, 0);
  fs.writeSync(fd, header, 0, header.length);
  fs.closeSync(fd);
});

function loadCursor(): number {
  const warn = (warning: SeclogError): number => warnings.push(warning);
  const options = {
    fs,
    directory: "/source",
    id: ID,
    epoch: 1,
    key: "",
    limit: () => undefined,
    freed: () => {},
    warn,
  };
  return fileSource(options).loadCursor("h");
}

test("a handler that is new begins with the first event that is left", () => {
  expect(loadCursor()).toBe(1_000);
  expect(warnings).toEqual([]);
});

test("a handler whose cursor is damaged does, too, and that is told", () => {
  fs.writeFileSync("/source/cursor.h", Buffer.alloc(64, "x").toString());
  expect(loadCursor()).toBe(1_000);
  expect(warnings).toMatchObject([{ code: "SECLOG_SPOOL_CORRUPT" }]);
});

test("a handler without a cursor begins behind the slowest of the others where no segment says where it begins", () => {
  fs.unlinkSync(join("/source", segmentName(7)));
  fs.writeFileSync(join("/source", segmentName(8)), Buffer.alloc(500, "?").toString());
  expect(loadCursor()).toBe(0);
  writeCursor(fs, "/source", "slow", 1_000);
  writeCursor(fs, "/source", "fast", 1_003);
  expect(loadCursor()).toBe(1_000);
});

test("what is to be had later is no cursor that is missing", () => {
  writeCursor(fs, "/source", "h", 1_005);
  const real = fs.readFileSync.bind(fs) as (...args: unknown[]) => unknown;
  fs = Object.assign(Object.create(fs) as SpoolFs, {
    readFileSync: () => {
      fs.readFileSync = real as SpoolFs["readFileSync"];
      throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    },
  });
  expect(() => loadCursor()).toThrow("ENOENT");
  expect(loadCursor()).toBe(1_005);
  fs.renameSync("/source", "/away");
  expect(() => loadCursor()).toThrow("ENOENT");
});

test("a handler whose cursor is whole goes on behind it: what is missing there was not deleted by Seclog", () => {
  writeCursor(fs, "/source", "h", 3);
  expect(loadCursor()).toBe(3);
  expect(warnings).toEqual([]);
});
