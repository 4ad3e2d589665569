import { execFileSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type DrainResult, drainSpool } from "../ship/drain-spool.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { inspectSpool } from "../ship/inspect-spool.ts";
import { keepQuarantined } from "../ship/quarantine.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { openFile, readSmallFile } from "./files.ts";
import { type SpoolFs, spoolFs } from "./fs.ts";
import { release, renew } from "./ownership.ts";
import { SpoolReader } from "./reader.ts";
import { createSource, openRoot } from "./source.ts";
import { SpoolWriter } from "./writer.ts";

// The looks that `drainSpool` takes every second come as soon as it waits for one.
vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const STRANGE = "0191f7a0-0000-7000-8000-000000000001";
const SOUND = "0191f7a0-0000-7000-8000-000000000002";
const LIMITS = { segmentBytes: 1e6, maxBytes: 1e9, memoryBytes: 1e6 };
const SECRET = "another user's file\n";
let folder: string;
let root: string;
/** The target of a link. */
let secret: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-files-"));
  root = join(folder, "spool");
  secret = join(folder, "secret");
  writeFileSync(secret, SECRET);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A source with one event, left by a dead process. */
function leave(id: string): string {
  openRoot(spoolFs, root);
  const owned = createSource(spoolFs, root, id);
  writeCursor(spoolFs, owned.directory, "h", 0);
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(spoolFs, owned, id, LIMITS, observer);
  writer.append(writer.lastSeq + 1, `event of ${id}`);
  writer.close();
  release(spoolFs, owned);
  return owned.directory;
}

const THINGS: { readonly [name: string]: (path: string) => void } = {
  "a symbolic link": (path) => symlinkSync(secret, path),
  "a symbolic link, of nothing": (path) => symlinkSync(join(folder, "nothing"), path),
  "a FIFO": (path) => execFileSync("mkfifo", [path]),
  "a folder": (path) => mkdirSync(path),
  "a socket": (path) =>
    execFileSync(process.execPath, [
      "-e",
      'require("net").createServer().listen(process.argv[1], () => process.exit())',
      path,
    ]),
  "a device": (path) => execFileSync("mknod", [path, "c", "1", "5"]),
};
const things = Object.keys(THINGS).filter((name) => name !== "a device" || process.getuid?.() === 0);

/** Puts something in the place of a file. */
function put(thing: string, path: string): void {
  if (existsSync(path)) renameSync(path, join(folder, "aside"));
  // A socket's path must be short.
  const at = join(folder, "s");
  THINGS[thing]?.(at);
  renameSync(at, path);
}

function taker(taken: string[]): SecurityEventHandler {
  return {
    name: "h",
    handle: (batch) => {
      taken.push(...batch.records.map((record) => Buffer.from(record).toString()));
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

/** Drains the spool, on a clock that runs ahead while it waits. */
async function drain(handler: SecurityEventHandler): Promise<DrainResult> {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    let isOver = false;
    const draining = drainSpool({ directory: root, handlers: [handler] }).finally(() => {
      isOver = true;
    });
    draining.catch(() => {});
    while (!isOver) {
      await new Promise(setImmediate);
      vi.advanceTimersByTime(1_000);
    }
    return await draining;
  } finally {
    vi.useRealTimers();
  }
}

describe("drainSpool()", () => {
  it.each(
    things.flatMap((thing) => ["cursor.h", "owner.1", "00000001.seg", "cursor.~end"].map((name) => ({ thing, name }))),
  )("leaves a source alone in which $thing is in the place of $name, names it, and ships the others", async (at) => {
    const path = join(leave(STRANGE), at.name);
    put(at.thing, path);
    leave(SOUND);
    const taken: string[] = [];
    const draining = drain(taker(taken));
    await expect(draining).rejects.toMatchObject({
      code: "SECLOG_SPOOL_DIRECTORY",
      message: expect.stringContaining(`${path} is ${at.thing.replace(/, of nothing/, "")}`),
    });
    expect(taken).toEqual([`event of ${SOUND}`]);
    expect(readFileSync(secret, "utf8")).toBe(SECRET);
    expect(existsSync(join(folder, "nothing"))).toBe(false);
    expect(existsSync(join(root, STRANGE, "owner.2"))).toBe(false);
  });

  it.each([
    ["00000002.seg", "8G", "has 8589934592 bytes"],
    ["99999999.seg", "2G", "has 2147483648 bytes"],
    ["cursor.h", "8G", "has 8589934592 bytes"],
    ["successor.h", "8G", "has 8589934592 bytes"],
    ["owner.1", "5G", "has 5368709120 bytes"],
    ["owner.999999999999", "0", "has a number that Seclog never writes"],
    ["owner.2147483647", "0", "has a number that Seclog never writes"],
    ["owner.01", "0", "has a number that Seclog never writes"],
    ["000000001.seg", "0", "has a number that Seclog never writes"],
    ["99999999999999999999.seg", "0", "has a number that Seclog never writes"],
  ])(
    "leaves a source alone in which %s of %s stands, names it at once, and ships the others",
    async (name, size, why) => {
      const path = join(leave(STRANGE), name);
      execFileSync("truncate", ["-s", size, path]);
      leave(SOUND);
      const taken: string[] = [];
      const draining = drain(taker(taken));
      await expect(draining).rejects.toMatchObject({
        code: "SECLOG_SPOOL_DIRECTORY",
        message: expect.stringContaining(`${path} ${why}`),
      });
      expect(taken).toEqual([`event of ${SOUND}`]);
      expect(existsSync(join(root, STRANGE, "owner.2"))).toBe(false);
      expect(inspectSpool(root).sources).toEqual([expect.objectContaining({ sourceId: STRANGE, owned: false })]);
    },
  );

  it("never enters a source's folder through a link, though it may delete what was shipped", async () => {
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, "precious"), SECRET);
    openRoot(spoolFs, root);
    symlinkSync(elsewhere, join(root, STRANGE));
    leave(SOUND);
    const taken: string[] = [];
    await expect(drain(taker(taken))).rejects.toThrow(`${join(root, STRANGE)} is a symbolic link`);
    expect(taken).toEqual([`event of ${SOUND}`]);
    expect(readFileSync(join(elsewhere, "precious"), "utf8")).toBe(SECRET);
  });

  it.runIf(process.getuid?.() === 0)("refuses a spool and a source that another user could change", async () => {
    leave(STRANGE);
    chownSync(root, 65_534, 0);
    await expect(drain(taker([]))).rejects.toThrow(/belongs to another user \(65534\)/);
    chownSync(root, 0, 0);
    chownSync(join(root, STRANGE), 65_534, 0);
    await expect(drain(taker([]))).rejects.toThrow(/belongs to another user \(65534\)/);
  });
});

describe("openFile()", () => {
  it.each(["read", "update", "append"] as const)(
    "refuses to %s anything but a regular file, without waiting",
    (how) => {
      for (const thing of things) {
        const path = join(folder, "name");
        put(thing, path);
        expect(() => openFile(spoolFs, path, how), thing).toThrow(`${path} is ${thing.replace(/, of nothing/, "")}`);
        rmSync(path, { recursive: true });
      }
    },
  );

  it("refuses to write a file that has another name, but reads it", () => {
    const path = join(folder, "name");
    linkSync(secret, path);
    for (const how of ["update", "append"] as const)
      expect(() => openFile(spoolFs, path, how)).toThrow(`${path} has 2 names (hard links)`);
    closeSync(openFile(spoolFs, path, "read"));
  });

  it("checks the file it opened, not what had the name before", () => {
    const path = join(folder, "name");
    writeFileSync(path, "");
    const fs: SpoolFs = {
      ...spoolFs,
      openSync: (...args) => {
        rmSync(path);
        execFileSync("mkfifo", [path]);
        return spoolFs.openSync(...args);
      },
    };
    expect(() => openFile(fs, path, "update")).toThrow(`${path} is a FIFO`);
  });
});

it("a reader never searches a file larger than any segment for events", () => {
  const path = join(leave(SOUND), "00000002.seg");
  execFileSync("truncate", ["-s", "8G", path]);
  const reader = new SpoolReader(spoolFs, join(root, SOUND), 0);
  expect(() => reader.read(1, 10, 1e6)).toThrow(`${path} has 8589934592 bytes`);
});

it("nothing of a living source is written through a link", () => {
  openRoot(spoolFs, root);
  const owned = createSource(spoolFs, root, STRANGE);
  for (const name of ["cursor.h", "owner.1"]) put("a symbolic link", join(owned.directory, name));
  put("a symbolic link", join(root, "quarantine.ndjson"));
  expect(() => writeCursor(spoolFs, owned.directory, "h", 7)).toThrow("cursor.h is a symbolic link");
  expect(() => readCursor(spoolFs, owned.directory, "h")).toThrow("cursor.h is a symbolic link");
  const source = { id: STRANGE, epoch: 1, key: "k", acknowledged: 0 };
  const record = { source, seq: 1, reason: "r", record: new Uint8Array() };
  expect(() => keepQuarantined(spoolFs, root, "h", record)).toThrow("quarantine.ndjson is a symbolic link");
  renew(spoolFs, owned);
  release(spoolFs, owned);
  expect(readFileSync(secret, "utf8")).toBe(SECRET);
});

it("readSmallFile() - reads no more than a small file can hold, whatever has its name", () => {
  const path = join(folder, "large");
  writeFileSync(path, "");
  execFileSync("truncate", ["-s", "20G", path]);
  expect(readSmallFile(spoolFs, path).length).toBe(64 * 1024);
});
