import { Buffer } from "node:buffer";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { ModelFs } from "../../../../test/support/model-fs.ts";
import type { SpoolFs } from "./fs.ts";
import { SpoolReader } from "./reader.ts";
import { encodeHeader, FRAME_BYTES, frameSlab, HEADER_BYTES, sealFrame, segmentName } from "./segment.ts";
import { deleteShipped } from "./source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
const ROOT = "/spool";
const DIRECTORY = join(ROOT, ID);
let size = 8;
const payload = (seq: number): string => `event ${seq}`.padEnd(size, ".");
const frame = (): number => FRAME_BYTES + payload(1).length;
let disk: ModelFs;
let fs: SpoolFs;
beforeEach(() => {
  size = 8;
  disk = new ModelFs(1);
  fs = disk.process();
  fs.mkdirSync(ROOT);
  fs.mkdirSync(DIRECTORY);
});
function segment(number: number, first: number, last: number): void {
  const slab = frameSlab((last - first + 1) * (frame() + 8) + 100);
  let end = 0;
  for (let seq = first; seq <= last; seq++) {
    slab.bytes.write(payload(seq), end + FRAME_BYTES);
    end = sealFrame(slab, end, payload(seq).length, seq);
  }
  const header = encodeHeader({ sourceId: ID, key: "0".repeat(32), firstSeq: first, epoch: 1 }, 0);
  const fd = fs.openSync(join(DIRECTORY, segmentName(number)), "wx");
  const b = Buffer.concat([header, slab.bytes.subarray(0, end)]);
  fs.writeSync(fd, b, 0, b.length);
  fs.closeSync(fd);
}
function flip(number: number, at: number, length = 1): void {
  disk.damage(join(DIRECTORY, segmentName(number)), (bytes) => {
    for (let i = at; i < Math.min(bytes.length, at + length); i++) bytes[i] = (bytes[i] ?? 0) ^ 1;
    return bytes;
  });
}
const head = (i: number): number => HEADER_BYTES + i * frame();
const body = (i: number): number => head(i) + FRAME_BYTES + 2;
function read(limit?: number, afterSeq = 0, reader = new SpoolReader(fs, DIRECTORY, afterSeq)): string {
  const found: string[] = [];
  for (let got = reader.read(limit, 100, 1e6); got.kind !== "end"; got = reader.read(limit, 100, 1e6)) {
    const last = got.kind === "damage" ? got.lastSeq : got.firstSeq + got.records.length - 1;
    const numbers = last === got.firstSeq ? `${last}` : `${got.firstSeq}-${last}`;
    found.push(`${got.kind === "damage" ? "!" : ""}${numbers}`);
    if (found.length > 300) break;
  }
  reader.close();
  return found.join(" ");
}
describe("damage", () => {
  test.each([
    ["payload", body(1)],
    ["head", head(1)],
  ])("is not deleted before it was told (%s)", (_, at) => {
    segment(1, 1, 2); // abandoned; both were said to be written
    segment(2, 1, 1); // the rewrite was cut off by kill -9
    flip(1, at);
    expect(read()).toBe("1 !2");
    deleteShipped(fs, DIRECTORY, 1); // a handler has 1
    expect(read(undefined, 1)).toBe("!2");
  });
  test("of a header and the first MiB costs no event behind them", () => {
    size = 1000;
    segment(1, 1, 3);
    segment(2, 4, 3000);
    segment(3, 3001, 3003);
    flip(2, 0, 64 + 1100 * frame());
    const r = read();
    expect(r).toMatch(/^1-3 !4-1103 1104-/);
  });
  test("of the same, while its process lives", () => {
    size = 1000;
    segment(1, 1, 3);
    segment(2, 4, 3000);
    flip(2, 0, 64 + 1100 * frame());
    expect(read(3000)).toMatch(/^1-3 !4-1103 1104-/);
  });
  test("of the same, in a dead source's last segment", () => {
    size = 1000;
    segment(1, 1, 3);
    segment(2, 4, 3000);
    flip(2, 0, 64 + 1100 * frame());
    expect(read()).toMatch(/^1-3 !4-1103 1104-/);
  });
  test("covers no event that an earlier segment has whole", () => {
    segment(1, 1, 9);
    segment(2, 4, 9);
    flip(1, body(4)); // 5 in both
    flip(2, head(1), 3 * frame()); // 5-7 in the rewrite
    expect(read(undefined, 3)).toBe("4 !5 6-9");
  });
  test("covers none of them in whatever order it is read", () => {
    segment(1, 1, 9);
    segment(2, 4, 9);
    flip(1, body(4));
    flip(2, head(1), 3 * frame());
    expect(read()).toBe("1-4 !5 6-9");
  });
  test("of a rewrite from its first head on is told", () => {
    segment(1, 1, 5);
    segment(2, 4, 8);
    flip(2, head(0), 5 * frame());
    expect(read()).toMatch(/^1-5 !6/);
  });
  test("of every head of a rewrite is told", () => {
    segment(1, 1, 5);
    segment(2, 4, 8);
    for (let i = 0; i < 5; i++) flip(2, head(i));
    expect(read()).toMatch(/^1-5 !6/);
  });
  test("of a whole segment is told once", () => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    segment(3, 7, 9);
    flip(2, 0, 10_000);
    expect(read()).toBe("1-3 !4-6 7-9");
  });
  test("of a whole segment is not told by who begins behind it", () => {
    segment(1, 1, 3);
    segment(2, 4, 6);
    segment(3, 7, 9);
    flip(2, 0, 10_000);
    expect(read(undefined, 7)).toBe("8-9");
    expect(read(undefined, 9)).toBe("");
  });
  test("of 8 MiB is told once", () => {
    size = 1000;
    segment(1, 1, 3);
    segment(2, 4, 8003);
    segment(3, 8004, 8009);
    flip(2, 0, 10_000_000);
    expect(read()).toBe("1-3 !4-8003 8004-8009");
  });
});
