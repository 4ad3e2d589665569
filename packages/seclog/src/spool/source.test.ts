import { mkdtempSync, readdirSync, rmSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { spoolFs } from "./fs.ts";
import { OwnerWatch, release } from "./ownership.ts";
import { encodeHeader } from "./segment.ts";
import { adoptSource, createSource } from "./source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
let root: string;
let directory: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-source-"));
  const owned = createSource(spoolFs, root, ID);
  release(spoolFs, owned);
  directory = owned.directory;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A header of another format. */
function header(format: number): Buffer {
  const bytes = encodeHeader({ sourceId: ID, key: "a".repeat(32), firstSeq: 1, epoch: 1 }, 0);
  bytes.writeUInt8(format, 6);
  return bytes;
}

describe("adoptSource()", () => {
  it("leaves a source without an owner alone while another process may be creating or removing it", () => {
    unlinkSync(join(directory, "owner.1"));
    const watch = new OwnerWatch();
    expect(adoptSource(spoolFs, root, ID, "other", watch)).toBeUndefined();
    expect([...watch.undecided]).toEqual([directory]);
    const before = new Date(Date.now() - 30_000);
    utimesSync(directory, before, before);
    expect(adoptSource(spoolFs, root, ID, "other", watch)).toMatchObject({ owned: { epoch: 2 } });
  });

  it("leaves a newer program's source untouched, and reports it", () => {
    const bytes = header(2);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
    writeFileSync(join(directory, "00000001.seg"), bytes);
    expect(() => adoptSource(spoolFs, root, ID, "other", new OwnerWatch())).toThrow(
      expect.objectContaining({ code: "SECLOG_SPOOL_NEWER" }),
    );
    expect(readdirSync(directory).sort()).toEqual(["00000001.seg", "owner.1"]);
  });

  it("does not take a damaged header for a newer one", () => {
    writeFileSync(join(directory, "00000001.seg"), header(2));
    expect(adoptSource(spoolFs, root, ID, "other", new OwnerWatch())?.owned.epoch).toBe(2);
  });
});
