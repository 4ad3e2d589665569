import { execFileSync, spawn } from "node:child_process";
import nodeFs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EXAMPLE_SOURCE, exampleBatch } from "../../testing/example-events.ts";
import { createHandler, type FileHandlerOptions, fileHandler } from "./file-handler.ts";
import type { FileLogFs } from "./file-log.ts";

const quiet = new AbortController().signal;
const OTHER_SOURCE = "01936d2f-5c00-7000-8000-000000000002";

let directory: string;
let path: string;
beforeEach(() => {
  directory = nodeFs.mkdtempSync(join(tmpdir(), "seclog-file-"));
  path = join(directory, "security.ndjson");
});
afterEach(() => nodeFs.rmSync(directory, { recursive: true, force: true }));

/** The names of the log's files, oldest first, the active one last. */
function files(): string[] {
  return nodeFs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".ndjson"))
    .sort((a, b) => (a === "security.ndjson" ? 1 : b === "security.ndjson" ? -1 : a.localeCompare(b)));
}

/** All events written, in order, as `[source's last digit, seq]`. */
function written(): [string, number][] {
  return files().flatMap((name) => {
    const text = nodeFs.readFileSync(join(directory, name), "utf8");
    if (text !== "" && !text.endsWith("\n")) throw new Error(`${name} ends in a torn line`);
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line): [string, number] => {
        const { source_id, seq } = JSON.parse(line) as { source_id: string; seq: number };
        return [source_id.slice(-1), seq];
      });
  });
}

function sequence(last: number, source = "1"): [string, number][] {
  return Array.from({ length: last }, (_, index) => [source, index + 1]);
}

/** The real file system, with some calls replaced; those of an opened file by `handle`. */
function faultyFs(faults: {
  readonly promises?: Partial<FileLogFs["promises"]>;
  readonly handle?: (file: nodeFs.promises.FileHandle, path: string) => void;
}): FileLogFs {
  const promises: FileLogFs["promises"] = {
    ...nodeFs.promises,
    async open(target, flags, mode) {
      const file = await nodeFs.promises.open(target, flags, mode);
      faults.handle?.(file, String(target));
      return file;
    },
    ...faults.promises,
  };
  return { ...nodeFs, promises };
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

async function withHandler<T>(
  options: Partial<FileHandlerOptions>,
  use: (handler: ReturnType<typeof fileHandler>) => Promise<T>,
): Promise<T> {
  const handler = fileHandler({ path, ...options });
  try {
    return await use(handler);
  } finally {
    await handler.close();
  }
}

describe("fileHandler()", () => {
  it("opens the file with the first batch, and writes a line per event, for its owner only", async () => {
    path = join(directory, "var", "log", "security.ndjson");
    await withHandler({}, async (handler) => {
      expect(nodeFs.readdirSync(directory)).toEqual([]);
      await handler.handle(exampleBatch({ count: 3 }), quiet);
    });
    const lines = nodeFs.readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
    expect(nodeFs.statSync(path).mode & 0o777).toBe(0o600);
    expect(nodeFs.statSync(join(directory, "var", "log")).mode & 0o777).toBe(0o700);
    expect(nodeFs.statSync(`${path}.state/position.json`).mode & 0o777).toBe(0o600);
  });

  it("writes no event twice: overlapping batches, two sources at once, a new process", async () => {
    await withHandler({}, async (handler) => {
      await Promise.all([
        handler.handle(exampleBatch({ count: 5 }), quiet),
        handler.handle(exampleBatch({ sourceId: OTHER_SOURCE, count: 2 }), quiet),
        handler.handle(exampleBatch({ firstSeq: 3, count: 5 }), quiet),
      ]);
    });
    await withHandler({}, async (handler) => {
      await handler.handle(exampleBatch({ count: 9 }), quiet);
      await handler.handle(exampleBatch({ sourceId: OTHER_SOURCE, count: 2 }), quiet);
    });
    const events = written();
    expect(events.filter(([source]) => source === "1")).toEqual(sequence(9));
    expect(events.filter(([source]) => source === "2")).toEqual(sequence(2, "2"));
  });

  it("drops a line torn at any byte and writes that event again", async () => {
    await withHandler({}, (handler) => handler.handle(exampleBatch({ count: 2 }), quiet));
    const whole = nodeFs.readFileSync(path);
    const second = whole.indexOf("\n") + 1;
    for (let cut = second; cut < whole.length; cut += 13) {
      nodeFs.writeFileSync(path, whole.subarray(0, cut));
      nodeFs.rmSync(`${path}.state`, { recursive: true });
      await withHandler({}, (handler) => handler.handle(exampleBatch({ count: 2 }), quiet));
      expect(nodeFs.readFileSync(path).equals(whole), `cut at ${cut}`).toBe(true);
    }
  });

  it("recovers positions past position.json, even if that is old, damaged or missing", async () => {
    const state = `${path}.state/position.json`;
    await withHandler({ maxBytes: 1024 }, (handler) => handler.handle(exampleBatch({ count: 2 }), quiet));
    const old = nodeFs.readFileSync(state);
    await withHandler({ maxBytes: 1024 }, async (handler) => {
      for (let seq = 3; seq < 12; seq++) await handler.handle(exampleBatch({ firstSeq: seq }), quiet);
    });
    expect(files().length).toBeGreaterThan(3);
    for (const text of [old, Buffer.from('{"v":1,"ino"'), Buffer.alloc(0), undefined]) {
      if (text === undefined) nodeFs.rmSync(state);
      else nodeFs.writeFileSync(state, text);
      await withHandler({}, (handler) => handler.handle(exampleBatch({ count: 11 }), quiet));
      expect(written()).toEqual(sequence(11));
    }
  });

  it("is not misled by data that looks like a line's head", async () => {
    const event = {
      data: { source_id: OTHER_SOURCE, seq: 99 },
      path: `{"v":1,"source_id":"${OTHER_SOURCE}","seq":99}`,
    };
    await withHandler({}, (handler) => handler.handle(exampleBatch({ event }), quiet));
    nodeFs.rmSync(`${path}.state`, { recursive: true });
    await withHandler({}, (handler) => handler.handle(exampleBatch({ sourceId: OTHER_SOURCE }), quiet));
    expect(written()).toEqual([...sequence(1), ...sequence(1, "2")]);
  });

  it("rotates before the file would exceed maxBytes, and keeps that many", async () => {
    await withHandler({ maxBytes: 2000, keep: 2 }, async (handler) => {
      for (let seq = 1; seq <= 20; seq++) await handler.handle(exampleBatch({ firstSeq: seq }), quiet);
    });
    expect(files()).toHaveLength(3);
    for (const name of files()) expect(nodeFs.statSync(join(directory, name)).size).toBeLessThanOrEqual(2000);
    const events = written();
    expect(events.at(-1)).toEqual(["1", 20]);
    expect(events).toEqual(sequence(20).slice(-events.length));
    expect(files()[0]).toMatch(/^security\.\d{4}-\d\d-\d\d\.000\d\.ndjson$/);
  });

  it("rotates by day, in UTC, and names the file after its day", async () => {
    let now = Date.parse("2026-11-22T23:59:59Z");
    await withHandler({ daily: true, now: () => now }, async (handler) => {
      await handler.handle(exampleBatch({ count: 2 }), quiet);
      now += 2000;
      await handler.handle(exampleBatch({ firstSeq: 3 }), quiet);
      await handler.handle(exampleBatch({ firstSeq: 4 }), quiet);
    });
    expect(files()).toEqual(["security.2026-11-22.0001.ndjson", "security.ndjson"]);
    expect(written()).toEqual(sequence(4));
  });

  it("continues in a new file after another program moved the file", async () => {
    await withHandler({}, async (handler) => {
      await handler.handle(exampleBatch({ count: 2 }), quiet);
      nodeFs.renameSync(path, `${path}.1`);
      await handler.handle(exampleBatch({ count: 3 }), quiet);
    });
    expect(written()).toEqual([["1", 3]]);
  });

  it("retries on a full disk, and neither tears nor doubles a line", async () => {
    let room = 700;
    const fs = faultyFs({
      handle(file, opened) {
        const write = file.write.bind(file);
        if (opened !== path) return;
        file.write = (async (bytes: Buffer, at: number) => {
          if (room === 0) throw errno("ENOSPC");
          const result = await write(bytes, at, Math.min(room, bytes.length - at));
          room -= result.bytesWritten;
          return result;
        }) as typeof file.write;
      },
    });
    await withHandler({ fs }, async (handler) => {
      const batch = exampleBatch({ count: 4 });
      await expect(handler.handle(batch, quiet)).rejects.toMatchObject({ kind: "retry", code: "SECLOG_HANDLER_RETRY" });
      await expect(handler.handle(batch, quiet)).rejects.toThrow(/ENOSPC.*free some space/);
      room = Number.MAX_SAFE_INTEGER;
      await handler.handle(batch, quiet);
    });
    expect(written()).toEqual(sequence(4));
  });

  it("never trusts the bytes that a failed fdatasync was to cover", async () => {
    let failing = false;
    const fs = faultyFs({
      handle(file, opened) {
        const datasync = file.datasync.bind(file);
        if (opened === path) file.datasync = () => (failing ? Promise.reject(errno("EIO")) : datasync());
      },
    });
    await withHandler({ fs }, async (handler) => {
      await handler.handle(exampleBatch({ count: 2 }), quiet);
      const first = nodeFs.statSync(path).ino;
      failing = true;
      await expect(handler.handle(exampleBatch({ firstSeq: 3, count: 2 }), quiet)).rejects.toMatchObject({
        kind: "retry",
      });
      failing = false;
      await handler.handle(exampleBatch({ firstSeq: 3, count: 2 }), quiet);
      expect(nodeFs.statSync(path).ino).not.toBe(first);
    });
    expect(files()).toHaveLength(2);
    expect(written()).toEqual(sequence(4));
  });

  it("survives a failure of any one call, at any time", { timeout: 120_000 }, async () => {
    let calls = 0;
    let failAt = 0;
    const counted =
      <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) =>
      async (...args) => {
        if (++calls === failAt) throw errno("EIO");
        return call(...args);
      };
    const real = faultyFs({
      handle(file) {
        for (const name of ["write", "datasync", "truncate", "stat", "read", "sync"] as const) {
          Object.assign(file, { [name]: counted(file[name].bind(file) as () => Promise<unknown>) });
        }
      },
    });
    const promises = Object.fromEntries(
      (["lstat", "mkdir", "open", "readdir", "rename", "unlink"] as const).map((name) => [
        name,
        counted(real.promises[name] as (...args: readonly unknown[]) => Promise<unknown>),
      ]),
    ) as unknown as FileLogFs["promises"];
    const fs: FileLogFs = { ...nodeFs, promises };

    const run = async (): Promise<void> => {
      calls = 0;
      // The real clock: the file's own mtime decides its day.
      const handler = fileHandler({ path, fs, maxBytes: 1100 });
      for (let seq = 1; seq <= 5; seq += 2) {
        const batch = exampleBatch({ firstSeq: seq, count: 2 });
        for (let attempt = 1; ; attempt++) {
          try {
            await handler.handle(batch, quiet);
            break;
          } catch (error) {
            if (attempt === 5) throw error;
          }
        }
      }
      await handler.close();
    };
    await run();
    const total = calls;
    expect(total).toBeGreaterThan(40);
    expect(files()).toHaveLength(3);
    for (failAt = 1; failAt <= total; failAt++) {
      nodeFs.rmSync(directory, { recursive: true });
      nodeFs.mkdirSync(directory);
      await run();
      expect(written(), `call ${failAt} of ${total} failed`).toEqual(sequence(6));
    }
  });

  it("loses and doubles nothing when the process is killed at any time", { timeout: 120_000 }, async () => {
    const child = join(directory, "child.mjs");
    const seclog = new URL("../../../dist", import.meta.url).href;
    nodeFs.writeFileSync(
      child,
      `import { fileHandler } from "${seclog}/handlers/file/file-handler.js";
       import { exampleBatch } from "${seclog}/testing/index.js";
       const handler = fileHandler({ path: process.argv[2], maxBytes: 20_000 });
       for (let firstSeq = 1; ; firstSeq += 7) {
         await handler.handle(exampleBatch({ firstSeq, count: 7 }), new AbortController().signal);
         process.stdout.write(firstSeq + 6 + "\\n");
       }`,
    );
    let acknowledged = 0;
    for (let round = 0; round < 6; round++) {
      const started = spawn(process.execPath, [child, path], { stdio: ["ignore", "pipe", "inherit"] });
      const { pid, stdout } = started;
      stdout.setEncoding("utf8");
      let said = "";
      // Killed after a number of acknowledgements rather than a time, so that no machine is too slow.
      await new Promise<void>((resolve) => {
        let seen = 0;
        stdout.on("data", (text: string) => {
          said += text;
          seen += text.split("\n").length - 1;
          if (seen >= 3 + round * 5 && pid !== undefined) process.kill(pid, "SIGKILL");
        });
        // "close" fires after the process has ended and all its output was read.
        started.on("close", () => resolve());
      });
      const last = Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1));
      expect(last, "the child wrote and was killed").toBeGreaterThan(0);
      acknowledged = Math.max(acknowledged, last);
      await withHandler({ maxBytes: 20_000 }, (handler) => handler.handle(exampleBatch({ count: 1 }), quiet));
      const events = written();
      expect(events.length).toBeGreaterThanOrEqual(acknowledged);
      expect(events).toEqual(sequence(events.length));
    }
    expect(files().length).toBeGreaterThan(1);
  });

  it("allows one writer at a time, and the next after it has closed", async () => {
    await withHandler({}, async (first) => {
      await first.handle(exampleBatch({ count: 1 }), quiet);
      await withHandler({}, async (second) => {
        await expect(second.handle(exampleBatch({ count: 2 }), quiet)).rejects.toMatchObject({
          kind: "retry",
          message: expect.stringContaining(path) as string,
        });
      });
    });
    await withHandler({}, (second) => second.handle(exampleBatch({ count: 2 }), quiet));
    expect(written()).toEqual(sequence(2));
  });

  it("lets a replacement worker of the same process take its file over", async () => {
    const { worker } = fileHandler({ path });
    const options = structuredClone(worker?.options) as Parameters<typeof createHandler>[0];
    const first = createHandler(options);
    await first.handle(exampleBatch({ count: 2 }), quiet);
    const again = createHandler(options);
    await again.handle(exampleBatch({ count: 3 }), quiet);
    await again.close();
    await first.close();
    expect(written()).toEqual(sequence(3));
  });

  it("stops when it may not write", async () => {
    const refuse = (): Promise<never> => Promise.reject(errno("EACCES"));
    const refused = faultyFs({ promises: { lstat: refuse } });
    await withHandler({ fs: refused }, async (handler) => {
      const failure = expect(handler.handle(exampleBatch(), quiet)).rejects;
      await failure.toMatchObject({ kind: "destination", code: "SECLOG_HANDLER_STOPPED" });
    });
  });

  it.each(["a symbolic link", "a FIFO", "a folder", "a device"])(
    "never writes to %s, refuses one at the start and stops for one that comes later",
    async (thing) => {
      const put = (at: string): void => {
        if (thing === "a symbolic link") nodeFs.symlinkSync("/etc/passwd", at);
        else if (thing === "a FIFO") execFileSync("mkfifo", [at]);
        else if (thing === "a folder") nodeFs.mkdirSync(at);
        else execFileSync("mknod", [at, "c", "1", "5"]);
      };
      if (thing === "a device" && process.getuid?.() !== 0) return;
      const destination = { kind: "destination", code: "SECLOG_HANDLER_STOPPED" };
      await withHandler({}, async (handler) => {
        put(path);
        await expect(handler.handle(exampleBatch(), quiet)).rejects.toMatchObject(destination);
        expect(() => fileHandler({ path })).toThrow(/fileHandler: path ".*" is (a symbolic link|not a regular file)/);
        nodeFs.rmSync(path, { recursive: true });
        await handler.handle(exampleBatch({ count: 2 }), quiet);
      });
      expect(written()).toEqual(sequence(2));
      // The same for the files it reads at its start: position.json and, without that, the rotated files.
      const positions = join(`${path}.state`, "position.json");
      for (const read of [positions, join(directory, "security.2026-11-22.0001.ndjson")]) {
        nodeFs.rmSync(positions, { recursive: true, force: true });
        put(read);
        const stopped = fileHandler({ path });
        const handling = stopped.handle(exampleBatch({ count: 3 }), quiet);
        await expect(handling).rejects.toThrow(/symbolic link|regular file|illegal operation on a directory/);
        await stopped.close();
        nodeFs.rmSync(read, { recursive: true });
      }
    },
  );

  it("waits for another writer to leave, and stops when that one stays", async () => {
    let now = Date.now();
    await withHandler({}, async (first) => {
      await first.handle(exampleBatch({ count: 1 }), quiet);
      await withHandler({ now: () => now }, async (second) => {
        const refused = (): Promise<void> => second.handle(exampleBatch({ count: 1 }), quiet);
        await expect(refused()).rejects.toMatchObject({ kind: "retry" });
        now += 29_999;
        await expect(refused()).rejects.toMatchObject({ kind: "retry" });
        now += 1;
        const message = `${path} is written by another process or log: wait for it to close, or give each its own path`;
        await expect(refused()).rejects.toMatchObject({ kind: "destination", message });
        await first.close();
        await refused();
      });
    });
  });

  it("refuses a file with hard links", async () => {
    await withHandler({}, (handler) => handler.handle(exampleBatch({ count: 1 }), quiet));
    nodeFs.linkSync(path, `${path}.other`);
    await withHandler({}, async (handler) => {
      await expect(handler.handle(exampleBatch({ count: 2 }), quiet)).rejects.toThrow(/has other names \(hard links\)/);
    });
    expect(written()).toEqual(sequence(1));
  });

  it("blames an event that cannot be decoded, and retries an aborted batch", async () => {
    await withHandler({}, async (handler) => {
      const batch = exampleBatch({ records: [Buffer.from("{}")] });
      await expect(handler.handle(batch, quiet)).rejects.toMatchObject({ kind: "event" });
      await expect(handler.handle(exampleBatch(), AbortSignal.abort())).rejects.toMatchObject({ kind: "retry" });
    });
  });

  it("names the option at fault", () => {
    const make = (options: object) => () => fileHandler({ path, ...options });
    expect(make({ maxByte: 1 })).toThrow(/fileHandler: maxByte does not exist/);
    expect(make({ maxBytes: 12 })).toThrow(/maxBytes must be a whole number from 1024/);
    expect(make({ keep: -1 })).toThrow(/keep must be/);
    expect(make({ keep: Number.NaN })).toThrow(/keep must be/);
    expect(make({ path: "" })).toThrow(/path must be/);
    expect(make({ keep: 3 })).not.toThrow();
    expect(EXAMPLE_SOURCE).not.toBe(OTHER_SOURCE);
  });
});
