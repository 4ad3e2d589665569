import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { spoolFs } from "./fs.ts";
import type { Ownership } from "./ownership.ts";
import type { Processes, ThreadIdentity } from "./processes.ts";

type OwnershipModule = typeof import("./ownership.ts");
type ProcessesModule = typeof import("./processes.ts");

/** Files that cannot be opened at the moment. */
let refused: string | undefined;

vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>();
  const readFileSync = (path: string, ...args: never[]): unknown => {
    if (path === refused) throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
    return real.readFileSync(path, ...args);
  };
  return { ...real, readFileSync };
});

let directory: string;
let ownership: OwnershipModule;
let processes: ProcessesModule["hostProcesses"];

beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), "seclog-ownership-")), "source");
  mkdirSync(directory);
  await restart();
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

/** As in a new thread: the identity is determined again. */
async function restart(): Promise<void> {
  refused = undefined;
  vi.resetModules();
  ownership = await import("./ownership.ts");
  processes = (await import("./processes.ts")).hostProcesses;
}

/** The directory's owner. */
function owner(more: object): void {
  writeFileSync(join(directory, "owner.1"), JSON.stringify({ ...processes.self(), holder: "h", key: "k", ...more }));
}

function takeOver(): ReturnType<OwnershipModule["takeOver"]> {
  return ownership.takeOver(spoolFs, directory, "other", new ownership.OwnerWatch());
}

describe("takeOver(), for an owner that cannot be looked up", () => {
  /** Looks every few seconds by a clock of its own; the owner renews its file while `renews` says so. */
  function watching(look: Processes["look"] = processes.look): (ms: number, renews?: boolean) => Ownership | undefined {
    let now = 0;
    const watch = new ownership.OwnerWatch(() => now, { self: processes.self, look });
    let renewals = 0;
    const anHourAgo = Date.now() - 3_600_000;
    return (ms, renews = false) => {
      now += ms;
      const at = new Date(anHourAgo + renewals * 3_000);
      if (renews) renewals++;
      utimesSync(join(directory, "owner.1"), at, at);
      return ownership.takeOver(spoolFs, directory, "other", watch);
    };
  }

  const OWNERS: { readonly [what: string]: object } = {
    "another boot, by the same pid": { boot: "another" },
    "another namespace": { space: "elsewhere pid:[1]", pid: 1 },
    "no start time, with a living process's pid": { start: undefined },
    "no start time, with an unused pid": { start: undefined, pid: 4_000_000 },
    "no boot id": { boot: undefined, pid: 4_000_000 },
  };

  it.each(Object.keys(OWNERS))("%s: is dead when its file has not changed for 15 s", (what) => {
    owner(OWNERS[what] ?? {});
    const look = watching();
    for (const ms of [0, 3_000, 3_000, 3_000, 3_000, 2_999]) expect(look(ms)).toBeUndefined();
    expect(look(1)).toMatchObject({ epoch: 2, unproven: true });
  });

  it.each(Object.keys(OWNERS))("%s: is alive as long as it renews its file, whatever the clocks say", (what) => {
    owner(OWNERS[what] ?? {});
    const look = watching();
    for (let n = 0; n < 100; n++) expect(look(5_000, n % 2 === 0)).toBeUndefined();
  });

  it("where /proc is hidden, the same host name and pid prove nothing", () => {
    owner({});
    const look = watching(() => "unknown");
    for (const ms of [0, 6_000, 6_000]) expect(look(ms)).toBeUndefined();
    expect(look(6_000)).toMatchObject({ epoch: 2, unproven: true });
  });

  it("allows for the time in which the watcher itself was stopped", () => {
    owner({ boot: "another" });
    const look = watching();
    for (const ms of [0, 3_600_000, 3_600_000]) expect(look(ms)).toBeUndefined();
    expect(look(1_000, true)).toBeUndefined();
    for (const ms of [0, 5_000, 5_000]) expect(look(ms)).toBeUndefined();
  });

  it("is looked at again soon while unknown, and not while seen alive", () => {
    owner({ boot: "another" });
    let now = 0;
    const watch = new ownership.OwnerWatch(() => now);
    const undecided = (ms: number, at: number): number => {
      now += ms;
      watch.undecided.clear();
      utimesSync(join(directory, "owner.1"), at, at);
      ownership.takeOver(spoolFs, directory, "other", watch);
      return watch.undecided.size;
    };
    expect([undecided(0, 1), undecided(1_000, 1)]).toEqual([1, 1]);
    expect([undecided(1_000, 2), undecided(3_000, 2), undecided(1_500, 2), undecided(100, 3)]).toEqual([0, 0, 1, 0]);
  });
});

it.runIf(process.platform === "linux").each(["exit", "terminate"])(
  "a thread that ends (%s) is dead, and the process that continues is not",
  async (how) => {
    // Read as this thread reads its own; the faults try it with the built library.
    const script = `
      const { readFileSync, readlinkSync } = require("node:fs");
      const { parentPort } = require("node:worker_threads");
      const path = readlinkSync("/proc/thread-self");
      const stat = readFileSync("/proc/" + path + "/stat", "latin1");
      const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
      parentPort.postMessage({ id: Number(path.split("/").at(-1)), start });
      parentPort.on("message", () => process.exit());`;
    const worker = new Worker(script, { eval: true });
    const [thread] = (await once(worker, "message")) as [NonNullable<ThreadIdentity["thread"]>];
    const identity = { ...processes.self(), thread };
    owner(identity);
    expect([processes.look(identity), takeOver()]).toEqual(["lives", undefined]);
    if (how === "exit") {
      worker.postMessage("");
      await once(worker, "exit");
    } else {
      await worker.terminate();
    }
    await expect.poll(() => processes.look(identity)).toBe("dead");
    expect(takeOver()).toMatchObject({ epoch: 2, unproven: false });
    expect(processes.look(processes.self())).toBe("lives");
  },
);

const DAMAGED: { readonly [what: string]: string } = {
  "nothing at all": "",
  "a null": "null",
  "an impossible pid": '{"pid":-1,"space":"s","holder":"h","key":"k"}',
  "an owner without a log": '{"pid":1,"space":"s"}',
  "trailing zeros": `{"pid":1}${"\0".repeat(1_000)}`,
};

it.each(Object.keys(DAMAGED))(
  "a damaged owner's file (%s), whatever its number: names no owner, and is taken over after 15 s",
  (what) => {
    owner({});
    writeFileSync(join(directory, "owner.99999999"), DAMAGED[what] ?? "");
    let now = 0;
    const watch = new ownership.OwnerWatch(() => now);
    expect(ownership.isOwned(spoolFs, directory)).toBe(false);
    for (const ms of [0, 6_000, 6_000]) {
      now += ms;
      expect(ownership.takeOver(spoolFs, directory, "other", watch)).toBeUndefined();
    }
    now += 6_000;
    expect(ownership.takeOver(spoolFs, directory, "other", watch)).toMatchObject({
      epoch: 100_000_000,
      unproven: true,
    });
    expect(readdirSync(directory)).toEqual(["owner.100000000"]);
  },
);

it("a living thread's file whose thread is damaged names no owner", () => {
  owner({ thread: null });
  expect(ownership.isOwned(spoolFs, directory)).toBe(false);
});

it("the owner of a directory that was emptied does not take the next owner's file for its own", () => {
  const first = ownership.ownNew(spoolFs, directory, "first", "k");
  ownership.release(spoolFs, first);
  expect(takeOver()?.epoch).toBe(2);
  // That owner has shipped all of it, and dies before it can remove the directory itself.
  unlinkSync(join(directory, "owner.2"));
  expect(ownership.takeOver(spoolFs, directory, "third", new ownership.OwnerWatch())).toBeDefined();
  expect(ownership.stillOwns(spoolFs, first)).toBe(false);
});

it.runIf(process.platform === "linux")("a living process is not dead when it cannot be looked up now", async () => {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 20_000)"]);
  try {
    const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
    owner({ pid: child.pid, start: stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] });
    expect(takeOver()).toBeUndefined();
    refused = `/proc/${child.pid}/stat`;
    expect(takeOver()).toBeUndefined();
    for (const path of ["/proc/sys/kernel/random/boot_id", `/proc/${process.pid}/stat`]) {
      await restart();
      refused = path;
      expect(() => takeOver()).toThrow("EMFILE");
      refused = undefined;
      expect(takeOver()).toBeUndefined();
    }
  } finally {
    child.kill();
  }
  await expect.poll(takeOver, { timeout: 5_000 }).toMatchObject({ epoch: 2, unproven: false });
});

it("releaseHeld() - releases only what this process holds for that log", () => {
  owner({ holder: "first" });
  ownership.releaseHeld(spoolFs, directory, "second");
  expect(takeOver()).toBeUndefined();
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(takeOver()).toMatchObject({ epoch: 2, key: "k", unproven: false });
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(ownership.isOwned(spoolFs, directory)).toBe(true);
  writeFileSync(join(directory, "owner.3"), JSON.stringify({ ...processes.self(), holder: "first", start: "1" }));
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(readFileSync(join(directory, "owner.3"), "utf8")).not.toContain("released");
});
