import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writeCursor } from "../spool/cursor.ts";
import { type SpoolFs, spoolFs } from "../spool/fs.ts";
import { OwnerWatch, RENEW_MS, release } from "../spool/ownership.ts";
import { hostProcesses } from "../spool/processes.ts";
import { createSource, deleteShipped, listSources, sourceIsOwned } from "../spool/source.ts";
import { SpoolWriter } from "../spool/writer.ts";
import { Adoption } from "./adopt.ts";
import { drainSpool } from "./drain-spool.ts";
import { HandlerError, type SecurityEventHandler } from "./handler.ts";
import { Shipper } from "./shipper.ts";

const IDS = ["0191f7a0-0000-7000-8000-000000000001", "0191f7a0-0000-7000-8000-000000000002"];
const LIMITS = { segmentBytes: 64 * 1024, maxBytes: 1e9, memoryBytes: 1e6 };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-adopt-"));
  for (const id of IDS) leaveBehind(id);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A source of one event whose process has ended. */
function leaveBehind(id: string): void {
  const owned = createSource(spoolFs, root, id);
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(spoolFs, owned, id, LIMITS, observer);
  writer.append(writer.lastSeq + 1, `{"of":"${id}"}\n{}`);
  writer.close();
  release(spoolFs, owned);
}

/** An adoption over `fs`, and the sources whose events arrived, in order. */
function adopter(
  fs: SpoolFs,
  watch?: OwnerWatch,
  refused: readonly string[] = [],
  others: readonly SecurityEventHandler[] = [],
): { adoption: Adoption; shipper: Shipper; shipped: string[]; failures: string[]; bytes: () => number } {
  const shipped: string[] = [];
  const failures: string[] = [];
  let bytes = 0;
  const handler: SecurityEventHandler = {
    name: "h",
    handle: async ({ source, records }) => {
      if (refused.includes(source.id)) throw new HandlerError("destination", "only an operator can fix it");
      shipped.push(...records.map(() => source.id));
    },
    close: () => Promise.resolve(),
  };
  const ignore = (): void => {};
  const shipper = new Shipper(
    [handler, ...others],
    {
      acknowledged: ignore,
      failed: ignore,
      seized: ignore,
      quarantined: ignore,
      kept: ignore,
      finished: (source) => {
        adoption.finished(source);
        adoption.look();
      },
    },
    ignore,
  );
  const options = {
    bytes: (change: number): void => {
      bytes += change;
    },
    failed: (error: Error) => failures.push(error.message),
  };
  const adoption = new Adoption(fs, root, "holder", shipper, options, watch);
  return { adoption, shipper, shipped, failures, bytes: () => bytes };
}

/** A file system in which one call fails while `failing` returns true for its first argument. */
function failingFs(name: "openSync" | "rmdirSync", failing: (path: unknown) => boolean): SpoolFs {
  const real = spoolFs[name] as (...args: unknown[]) => unknown;
  return Object.assign(
    { ...spoolFs },
    {
      [name]: (...args: unknown[]): unknown => {
        if (failing(args[0])) throw new Error("EIO: made by the test");
        return real(...args);
      },
    },
  );
}

it("look() - ships the other sources while one source's owner file cannot be created, and ships that one at the next look", async () => {
  let failing = true;
  const fs = failingFs("openSync", (path) => failing && path === join(root, IDS[0] as string, "owner.2"));
  const { adoption, shipper, shipped, failures } = adopter(fs);
  expect(adoption.look()).toBe(1);
  expect(failures).toEqual([expect.stringContaining("EIO")]);
  await expect.poll(() => shipped).toEqual([IDS[1]]);
  failing = false;
  expect(adoption.look()).toBe(1);
  await expect.poll(() => shipped).toEqual([IDS[1], IDS[0]]);
  await expect.poll(() => listSources(spoolFs, root)).toEqual([]);
  await shipper.stop();
});

it("look() - ships the other sources while one source's cursor cannot be read, and ships that one once it can", async () => {
  let failing = true;
  const fs = failingFs("openSync", (path) => failing && path === join(root, IDS[0] as string, "cursor.h"));
  const { adoption, shipper, shipped } = adopter(fs);
  expect(adoption.look()).toBe(2);
  await expect.poll(() => shipped).toEqual([IDS[1]]);
  expect(shipper.health(0)).toMatchObject({
    status: "retrying",
    lastError: { message: expect.stringContaining("EIO") },
  });
  failing = false;
  await expect.poll(() => shipped).toEqual([IDS[1], IDS[0]]);
  await expect.poll(() => listSources(spoolFs, root)).toEqual([]);
  await shipper.stop();
});

it.each([
  ["00000002.seg", "8G"],
  ["owner.999999999999", "0"],
  ["owner.1", "5G"],
])("look() - reports %s of %s in a source's folder as left behind, and ships the other sources", async (name, size) => {
  const path = join(root, IDS[0] as string, name);
  execFileSync("truncate", ["-s", size, path]);
  const { adoption, shipper, shipped, failures } = adopter(spoolFs);
  expect(adoption.look()).toBe(1);
  expect(failures).toEqual([expect.stringContaining(path)]);
  expect(adoption.left()?.lastError).toMatchObject({
    code: "SECLOG_SPOOL_DIRECTORY",
    message: expect.stringContaining(path),
  });
  await expect.poll(() => shipped).toEqual([IDS[1]]);
  await expect.poll(() => listSources(spoolFs, root)).toEqual([IDS[0]]);
  rmSync(path);
  await shipper.stop();
});

it("look() - ships everything that a living owner, mistaken for dead, wrote before it noticed", async () => {
  const id = "0191f7a0-0000-7000-8000-000000000003";
  const owned = createSource(spoolFs, root, id);
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(spoolFs, owned, id, LIMITS, observer);
  writer.append(writer.lastSeq + 1, "1");
  await writer.durable(1, false);
  const path = join(owned.directory, "owner.1");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), space: "elsewhere", pid: 1 }));
  const silentSince = new Date(Date.now() - 6 * 60_000);
  utimesSync(path, silentSince, silentSince);
  let now = 0;
  const { adoption, shipper, shipped } = adopter(spoolFs, new OwnerWatch(() => now));
  adoption.look();
  expect(adoption.undecided).toBe(1);
  await expect.poll(() => shipped.length).toBe(2);
  for (now of [5_000, 10_000]) expect(adoption.look()).toBe(0);
  now = 15_000;
  expect(adoption.look()).toBe(1);
  let acknowledged = 1;
  for (const until = performance.now() + 3_000; performance.now() < until; ) {
    writer.append(writer.lastSeq + 1, "more");
    try {
      await writer.durable(writer.lastSeq, false);
      acknowledged += 1;
    } catch {
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await expect.poll(() => listSources(spoolFs, root), { timeout: 5_000 }).toEqual([]);
  expect(acknowledged).toBeGreaterThan(1);
  expect(shipped.filter((source) => source === id).length).toBeGreaterThanOrEqual(acknowledged);
  await shipper.stop();
});

it("look() - ships sound sources beside many that only an operator can fix, and holds a bounded number of those", async () => {
  const ids = Array.from({ length: 20 }, (_, n) => `0191f7a0-0000-7000-8000-0000000001${String(n).padStart(2, "0")}`);
  for (const id of ids) leaveBehind(id);
  const sound = ids[8] as string;
  const { adoption, shipper, shipped } = adopter(
    spoolFs,
    undefined,
    [...IDS, ...ids].filter((id) => id !== sound),
  );
  for (let look = 0; look < 8; look++) {
    adoption.look();
    expect(adoption.size).toBeLessThanOrEqual(16);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  expect(shipped).toEqual([sound]);
  expect(adoption.size).toBe(16);
  await shipper.stop();
});

it("look() - ships sound sources beside four that cannot be read", async () => {
  const ids = Array.from({ length: 5 }, (_, n) => `0191f7a0-0000-7000-8000-0000000001${String(n).padStart(2, "0")}`);
  for (const id of ids) leaveBehind(id);
  const sound = ids[4] as string;
  const fs = failingFs("openSync", (path) => String(path).endsWith("cursor.h") && !String(path).includes(sound));
  const { adoption, shipper, shipped } = adopter(fs);
  await expect
    .poll(() => {
      adoption.look();
      return shipped;
    })
    .toEqual([sound]);
  await shipper.stop();
});

it("look() - delivers everything to each handler although a source's folder is away for a moment", async () => {
  const [id] = IDS as [string];
  const directory = join(root, id);
  let go = (): void => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  const slow: SecurityEventHandler = { name: "slow", handle: () => held, close: () => Promise.resolve() };
  const refused = [id];
  const { adoption, shipper, shipped, failures } = adopter(spoolFs, undefined, refused, [slow]);
  adoption.look();
  await expect.poll(() => shipper.health(0).retries).toBe(1);
  renameSync(directory, join(root, "away"));
  refused.pop();
  await expect.poll(() => shipper.health(0).retries).toBeGreaterThan(1);
  renameSync(join(root, "away"), directory);
  go();
  await expect.poll(() => shipped).toContain(id);
  await expect.poll(() => listSources(spoolFs, root)).toEqual([]);
  expect(failures).toEqual([]);
  await shipper.stop();
});

it("look() - drops a source whose folder is gone, and picks it up again when the folder returns", async () => {
  const [id] = IDS as [string];
  const refused = [id];
  const { adoption, shipper, shipped } = adopter(spoolFs, undefined, refused);
  adoption.look();
  await expect.poll(() => shipper.health(0).status).toBe("stopped");
  renameSync(join(root, id), join(root, "away"));
  await expect.poll(() => adoption.size).toBe(1);
  expect(adoption.look()).toBe(0);
  await expect.poll(() => adoption.size).toBe(0);
  await expect.poll(() => shipper.health(0).status).toBe("ok");
  renameSync(join(root, "away"), join(root, id));
  refused.pop();
  expect(adoption.look()).toBe(1);
  await expect.poll(() => shipped).toEqual([IDS[1], id]);
  await expect.poll(() => listSources(spoolFs, root)).toEqual([]);
  await shipper.stop();
});

it.each(["something is in the way", "the folder itself cannot be removed"] as const)(
  "look() - retries the removal of a shipped source when %s, and ships the others meanwhile",
  async (why) => {
    const [id] = IDS as [string];
    const inTheWay = join(root, id, "backup");
    let failing = true;
    if (why === "something is in the way") mkdirSync(inTheWay);
    const fs = failingFs("rmdirSync", (path) => failing && path === join(root, id));
    const { adoption, shipper, shipped, failures, bytes } = adopter(fs);
    adoption.look();
    await expect.poll(() => listSources(spoolFs, root)).toEqual([id]);
    expect(shipped).toEqual(IDS);
    expect(bytes()).toBe(0);
    expect(adoption.size).toBe(0);
    const tries = failures.length;
    expect(tries).toBeLessThan(5);
    expect(adoption.look()).toBe(0);
    expect(failures).toHaveLength(tries + 1);
    expect(adoption.tidy()?.message).toContain(join(root, id));
    failing = false;
    if (why === "something is in the way") rmdirSync(inTheWay);
    expect(adoption.look()).toBe(0);
    expect(listSources(spoolFs, root)).toEqual([]);
    expect(adoption.tidy()).toBeUndefined();
    expect([shipped, bytes()]).toEqual([IDS, 0]);
    await shipper.stop();
  },
);

it("look() - reports no failure when another process takes over or removes a source that this one is about to remove or read", async () => {
  const [first, second] = IDS as [string, string];
  const owner = { ...hostProcesses.self(), holder: "another holder", key: "" };
  const fs: SpoolFs = {
    ...spoolFs,
    rmdirSync: (path) => {
      if (path === join(root, first)) writeFileSync(join(root, first, "owner.1"), JSON.stringify(owner));
      spoolFs.rmdirSync(path);
    },
    openSync: ((path: string, ...more: [string]) => {
      if (path.startsWith(join(root, second))) rmSync(join(root, second), { recursive: true, force: true });
      return spoolFs.openSync(path, ...more);
    }) as SpoolFs["openSync"],
  };
  const { adoption, shipper, shipped, failures } = adopter(fs);
  adoption.look();
  await expect.poll(() => adoption.size).toBe(0);
  expect([shipped, failures, adoption.tidy()]).toEqual([[first], [], undefined]);
  expect(listSources(spoolFs, root)).toEqual([first]);
  await shipper.stop();
});

it("drainSpool() - reports at the end which source it could not remove", async () => {
  const [id] = IDS as [string];
  mkdirSync(join(root, id, "backup"));
  let stored = 0;
  const handler: SecurityEventHandler = {
    name: "h",
    handle: async ({ records }) => {
      stored += records.length;
    },
    close: () => Promise.resolve(),
  };
  await expect(drainSpool({ directory: root, handlers: [handler] })).rejects.toMatchObject({
    code: "SECLOG_SPOOL_DIRECTORY",
    message: expect.stringContaining(`${join(root, id)} was shipped whole and cannot be removed`),
  });
  expect(stored).toBe(2);
});

/** A handler that accepts everything and counts the events. */
function taker(name: string = "h"): { handler: SecurityEventHandler; stored: () => number } {
  let stored = 0;
  const handle: SecurityEventHandler["handle"] = async ({ records }) => {
    stored += records.length;
  };
  return { handler: { name, handle, close: () => Promise.resolve() }, stored: () => stored };
}

it("drainSpool() - retries a source that it could not take over", async () => {
  rmSync(join(root, IDS[1] as string), { recursive: true });
  let failures = 1;
  const fs = failingFs("openSync", (path) => String(path).endsWith("owner.2") && failures-- > 0);
  const { handler, stored } = taker();
  await expect(drainSpool({ directory: root, handlers: [handler], fs })).resolves.toMatchObject({ finished: 1 });
  expect(stored()).toBe(1);
});

it("drainSpool() - reports at the end why it could not take over a source", async () => {
  const [id] = IDS as [string];
  const fs = failingFs("openSync", (path) => path === join(root, id, "owner.2"));
  const { handler, stored } = taker();
  await expect(drainSpool({ directory: root, handlers: [handler], fs })).rejects.toMatchObject({
    code: "SECLOG_SPOOL_DIRECTORY",
    message: expect.stringContaining("EIO"),
  });
  expect(stored()).toBe(1);
});

it("drainSpool() - fails and names the segment that is a symbolic link, rather than report an empty spool", async () => {
  const [id] = IDS as [string];
  const segment = join(root, id, "00000001.seg");
  rmSync(segment);
  symlinkSync(join(root, "volume", "00000001.seg"), segment);
  await expect(drainSpool({ directory: root, handlers: [taker().handler] })).rejects.toThrow(
    `${segment} is a symbolic link, which is not followed`,
  );
});

it("drainSpool() - stores no position for a handler that accepted nothing, since that would keep the source forever", async () => {
  const [id] = IDS as [string];
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  rmSync(join(root, id), { recursive: true });
  const made = createSource(spoolFs, root, id);
  const writer = new SpoolWriter(spoolFs, made, id, { ...LIMITS, segmentBytes: 1_000 }, observer);
  for (let n = 0; n < 20; n++) {
    writer.append(writer.lastSeq + 1, "x".repeat(500));
    writer.flushSync();
  }
  writer.close();
  release(spoolFs, made);
  writeCursor(spoolFs, made.directory, "postgres", 10);
  deleteShipped(spoolFs, made.directory, 10, () => {});
  const handle = (): Promise<void> => Promise.reject(new HandlerError("destination", "no such database"));
  const misspelt: SecurityEventHandler = {
    name: "misspelt",
    handle,
    quarantine: handle,
    close: () => Promise.resolve(),
  };
  await expect(drainSpool({ directory: root, handlers: [misspelt] })).rejects.toThrow("no such database");
  await expect(drainSpool({ directory: root, handlers: [taker("postgres").handler] })).resolves.toMatchObject({
    waiting: [],
  });
  expect(listSources(spoolFs, root)).toEqual([]);
});

it("finished() - removes no source that another process has taken over", async () => {
  const [id] = IDS as [string];
  let go = (): void => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  const slow: SecurityEventHandler = { name: "slow", handle: () => held, close: () => Promise.resolve() };
  const { adoption, shipper, failures } = adopter(spoolFs, undefined, [], [slow]);
  adoption.look();
  const owner = JSON.parse(readFileSync(join(root, id, "owner.2"), "utf8")) as object;
  writeFileSync(join(root, id, "owner.3"), JSON.stringify({ ...owner, holder: "another holder" }));
  go();
  await expect.poll(() => adoption.size).toBe(0);
  expect(listSources(spoolFs, root)).toEqual([id]);
  expect(failures).toEqual([]);
  await shipper.stop();
});

it("look() - passes a returned source to a handler only after the handler's earlier calls have settled", async () => {
  const [id] = IDS as [string];
  let atOnce = 0;
  let most = 0;
  const slow: SecurityEventHandler = {
    name: "slow",
    handle: async ({ source }) => {
      if (source.id !== id) return;
      most = Math.max(most, ++atOnce);
      await new Promise((resolve) => setTimeout(resolve, 300));
      atOnce -= 1;
    },
    close: () => Promise.resolve(),
  };
  const { adoption, shipper } = adopter(spoolFs, undefined, [], [slow]);
  adoption.look();
  await expect.poll(() => most).toBe(1);
  renameSync(join(root, id), join(root, "away"));
  adoption.look();
  renameSync(join(root, "away"), join(root, id));
  expect(adoption.look()).toBe(0);
  await expect
    .poll(() => {
      adoption.look();
      return listSources(spoolFs, root);
    })
    .toEqual([]);
  expect(most).toBe(1);
  await shipper.stop();
});

it("look() - ships nothing after the shipper has stopped", async () => {
  const { adoption, shipper, shipped } = adopter(spoolFs);
  await shipper.stop();
  adoption.look();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(shipped).toEqual([]);
  adoption.release();
});

it("look() - ships all sources to a healthy handler while another handler is down", async () => {
  for (let n = 3; n <= 9; n++) leaveBehind(`0191f7a0-0000-7000-8000-00000000000${n}`);
  const down: SecurityEventHandler = {
    name: "down",
    required: false,
    handle: () => Promise.reject(new HandlerError("retry", "ECONNREFUSED")),
    close: () => Promise.resolve(),
  };
  const { adoption, shipper, shipped } = adopter(spoolFs, undefined, [], [down]);
  await expect
    .poll(() => {
      adoption.look();
      return shipped.length;
    })
    .toBe(9);
  expect(listSources(spoolFs, root)).toHaveLength(9);
  await shipper.stop();
});

it("look() - takes over no source after the shipper has stopped, since nothing would release it", async () => {
  const { adoption, shipper } = adopter(spoolFs);
  await shipper.stop();
  adoption.release();
  expect(adoption.look()).toBe(0);
  for (const id of IDS) expect(sourceIsOwned(spoolFs, root, id)).toBe(false);
});

it("drainSpool() - ships, in the same process, a source whose folder was away when an earlier call ended", async () => {
  const [id] = IDS as [string];
  const handler = (handle: SecurityEventHandler["handle"]): SecurityEventHandler => ({
    name: "h",
    handle,
    close: () => Promise.resolve(),
  });
  const controller = new AbortController();
  let called = false;
  const stuck = handler(() => {
    called = true;
    return Promise.reject(new HandlerError("retry", "away"));
  });
  const drained = drainSpool({ directory: root, handlers: [stuck], signal: controller.signal });
  await expect.poll(() => called).toBe(true);
  renameSync(join(root, id), join(root, "away"));
  // drainSpool() looks every second.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  controller.abort();
  await drained;
  renameSync(join(root, "away"), join(root, id));
  await new Promise((resolve) => setTimeout(resolve, RENEW_MS + 500));
  await expect(drainSpool({ directory: root, handlers: [handler(async () => {})] })).resolves.toMatchObject({
    finished: 2,
    owned: 0,
  });
});
