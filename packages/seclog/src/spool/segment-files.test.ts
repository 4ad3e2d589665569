import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ModelFs } from "#test/support/model-fs.ts";
import { FrameMemory } from "./frames.ts";
import { type SpoolFs, spoolFs } from "./fs.ts";
import { SegmentFiles } from "./segment-files.ts";
import { createSource, openRoot } from "./source.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
const SEGMENT_BYTES = 300;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-segments-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

type Done = (error: NodeJS.ErrnoException | null) => void;

/** Files whose syncs in the thread pool end when the test says so, and record what they synced. */
class Held {
  readonly files: SegmentFiles;
  readonly directory: string;
  /** What was synced, in order: `directory`, or the file's name. */
  readonly synced: string[] = [];
  /** What was synced on this thread. */
  readonly syncedNow: string[] = [];
  closeFails = false;
  readonly #frames = new FrameMemory();
  readonly #names = new Map<number, string>();
  #end: Done | undefined;

  constructor() {
    const hold = (fd: number, done: Done): void => {
      this.synced.push(this.#names.get(fd) ?? `descriptor ${fd} is closed`);
      this.#end = done;
    };
    const fs: SpoolFs = {
      ...spoolFs,
      openSync: (path, flags, mode) => {
        const fd = spoolFs.openSync(path, flags, mode);
        this.#names.set(fd, path === this.directory ? "directory" : String(path).slice(this.directory.length + 1));
        return fd;
      },
      closeSync: (fd) => {
        this.#names.delete(fd);
        spoolFs.closeSync(fd);
        if (this.closeFails) throw new Error("EIO: made by the test");
      },
      fsyncSync: (fd) => {
        this.syncedNow.push(this.#names.get(fd) ?? "");
        spoolFs.fsyncSync(fd);
      },
    };
    Object.assign(fs, { fsync: hold, fdatasync: hold });
    const owned = createSource(spoolFs, root, ID);
    this.directory = owned.directory;
    this.files = new SegmentFiles(fs, owned, ID, SEGMENT_BYTES);
  }

  /** Writes the next event, of which two do not fit into a segment. */
  write(): void {
    this.#frames.append(this.#frames.lastSeq + 1, "x".repeat(200));
    this.#frames.cut();
    const chunk = this.#frames.nextUnwritten;
    if (chunk === undefined) throw new Error("no chunk");
    this.files.write(chunk);
    this.#frames.written();
  }

  /** Writes what is not on disk again, at most `most` chunks of it. */
  rewrite(most = 100): void {
    this.#frames.synced(this.files.syncedSeq);
    this.#frames.unwrite();
    for (let chunk = this.#frames.nextUnwritten, count = 0; chunk !== undefined && count < most; count++) {
      this.files.write(chunk);
      this.#frames.written();
      chunk = this.#frames.nextUnwritten;
    }
  }

  /** Ends the running sync, and those that follow from it. */
  end(error: NodeJS.ErrnoException | null = null): void {
    for (let end = this.#end; end !== undefined; end = this.#end) {
      this.#end = undefined;
      end(error);
    }
  }

  get segments(): string[] {
    return readdirSync(this.directory).filter((name) => name.endsWith(".seg"));
  }

  get bytesOnDisk(): number {
    return this.segments.reduce((sum, name) => sum + statSync(join(this.directory, name)).size, 0);
  }

  get open(): string[] {
    return [...new Set(this.#names.values())];
  }
}

/** Files on a disk that fails and loses power when the test says so. */
function onModelDisk(): { disk: ModelFs; files: SegmentFiles; frames: FrameMemory; bytesOnDisk: () => number } {
  const disk = new ModelFs(1);
  const fs = disk.process();
  openRoot(fs, "/spool");
  const owned = createSource(fs, "/spool", ID);
  const files = new SegmentFiles(fs, owned, ID, SEGMENT_BYTES);
  const frames = new FrameMemory();
  const segments = (): string[] => disk.names(owned.directory).filter((name) => name.endsWith(".seg"));
  const size = (name: string): number => disk.file(join(owned.directory, name))?.cache.length ?? 0;
  return { disk, files, frames, bytesOnDisk: () => segments().reduce((sum, name) => sum + size(name), 0) };
}

/** Writes the next event to a segment. */
function writeTo(files: SegmentFiles, frames: FrameMemory): void {
  frames.append(frames.lastSeq + 1, "x".repeat(200));
  frames.cut();
  for (let chunk = frames.nextUnwritten; chunk !== undefined; chunk = frames.nextUnwritten) {
    files.write(chunk);
    frames.written();
  }
}

describe("SegmentFiles", () => {
  it("a sync on this thread does not succeed over a failed one in the thread pool that is not reported yet", () => {
    const { disk, files, frames } = onModelDisk();
    files.syncNow();
    writeTo(files, frames);
    files.sync(() => {});
    disk.inject({ calls: "sync", after: 0, count: 1, code: "EIO" });
    disk.runPool();
    expect(() => files.syncNow()).toThrow("EIO");
    expect(files.syncedSeq).toBe(0);
  });

  it.each(["EIO", "SHORT"] as const)("counts the bytes on disk even when a header is refused (%s)", (code) => {
    const { disk, files, frames, bytesOnDisk } = onModelDisk();
    writeTo(files, frames);
    // The next segment's file is created, its header is not written.
    disk.inject({ calls: "write", after: 1, count: 1, code });
    expect(() => writeTo(files, frames)).toThrow();
    expect(files.bytes).toBe(bytesOnDisk());
  });

  it("syncs the directory and what was rotated out before it reports what follows as on disk", () => {
    const held = new Held();
    for (let count = 0; count < 3; count++) held.write();
    const segments = held.segments;
    expect(segments).toHaveLength(3);
    const results: unknown[] = [];
    held.files.sync((...result) => results.push(result));
    expect([results, held.files.syncedSeq]).toEqual([[], 0]);
    held.end();
    expect(held.synced).toEqual(["directory", ...segments]);
    expect([results, held.files.syncedSeq]).toEqual([[[null, false]], 3]);
    expect(held.open).toEqual(segments.slice(2));
    held.files.close();
    expect(held.open).toEqual([]);
  });

  it("a sync during which segments were abandoned proves nothing, and their files are closed when it ends", () => {
    const held = new Held();
    held.write();
    const results: unknown[] = [];
    held.files.sync((...result) => results.push(result));
    held.files.abandon();
    expect(held.files.writtenSeq).toBe(0);
    // The thread pool still uses the descriptor: another file must not get its number.
    expect(held.segments).toHaveLength(1);
    expect(held.open).toContain(held.segments[0]);
    held.end();
    expect(results).toEqual([[null, true]]);
    expect(held.files.syncedSeq).toBe(0);
    expect(held.open).toEqual([]);
  });

  it.each(["sync", "syncNow"] as const)(
    "abandons at once when no sync runs, and keeps what was written until a %s has all of it elsewhere",
    (how) => {
      const held = new Held();
      held.write();
      held.files.syncNow();
      for (let count = 0; count < 2; count++) held.write();
      const [first, second, third] = held.segments;
      held.files.abandon();
      expect([held.files.writtenSeq, held.files.syncedSeq]).toEqual([1, 1]);
      expect([held.open, held.segments]).toEqual([[], [first, second, third]]);
      held.rewrite();
      expect(held.segments).toHaveLength(5);
      if (how === "syncNow") held.files.syncNow();
      else held.files.sync(() => {});
      held.end();
      expect(held.files.syncedSeq).toBe(3);
      // Part of the first one was on disk when it was abandoned: the shipper deletes it.
      expect(held.segments).toEqual([first, "00000004.seg", "00000005.seg"]);
      held.files.close();
    },
  );

  it("attempts without progress do not fill the disk", () => {
    const held = new Held();
    held.write();
    held.files.syncNow();
    for (let count = 0; count < 3; count++) held.write();
    const written = held.segments;
    for (let attempt = 0; attempt < 5; attempt++) {
      held.files.abandon();
      held.rewrite(2);
    }
    held.files.abandon();
    expect(held.segments).toEqual(written);
    expect(held.files.bytes).toBe(held.bytesOnDisk);
    held.files.close();
  });

  it("a sync that ends after a later one on this thread takes nothing back", () => {
    const held = new Held();
    held.write();
    held.files.sync(() => {});
    held.write();
    held.files.syncNow();
    expect(held.files.syncedSeq).toBe(2);
    held.end();
    expect(held.files.syncedSeq).toBe(2);
    held.files.close();
  });

  it("a sync on this thread does not rely on the directory's sync that is still under way", () => {
    const held = new Held();
    held.write();
    held.files.sync(() => {});
    expect(held.synced).toEqual(["directory"]);
    held.files.syncNow();
    expect([held.files.syncedSeq, held.syncedNow]).toEqual([1, ["directory"]]);
    held.end();
    held.files.close();
  });

  it("a directory whose descriptor cannot be closed is still synced", () => {
    const held = new Held();
    held.write();
    const results: unknown[] = [];
    held.files.sync((...result) => results.push(result));
    held.closeFails = true;
    held.end();
    expect([results, held.files.syncedSeq]).toEqual([[[null, false]], 1]);
    held.files.close();
  });

  it("a close while a sync runs leaves the descriptors to its end", () => {
    const held = new Held();
    held.write();
    held.files.sync(() => {});
    held.files.close();
    expect(held.open).toContain(held.segments[0]);
    held.end();
    expect(held.open).toEqual([]);
  });
});
