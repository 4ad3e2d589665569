import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { spoolFs } from "./fs.ts";

type OwnershipModule = typeof import("./ownership.ts");

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

beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), "seclog-ownership-")), "source");
  mkdirSync(directory);
  await restart();
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

/** As in a thread that begins: who this process is will be asked anew. */
async function restart(): Promise<void> {
  refused = undefined;
  vi.resetModules();
  ownership = await import("./ownership.ts");
}

/** The directory's owner. */
function owner(more: object): void {
  writeFileSync(
    join(directory, "owner.1"),
    JSON.stringify({ ...ownership.thisProcess(), holder: "h", key: "k", ...more }),
  );
}

function takeOver(): ReturnType<OwnershipModule["takeOver"]> {
  return ownership.takeOver(spoolFs, directory, "other", new ownership.OwnerWatch());
}

test("an owner of this machine's name and of another boot lives when its file was renewed since this one was started", () => {
  owner({ boot: "another", pid: 1 });
  expect(takeOver()).toBeUndefined();
});

test("an owner from before the machine was started is dead, and may be another machine's all the same", () => {
  owner({ boot: "another", pid: 1 });
  const before = new Date(Date.now() - uptime() * 1_000 - 60_000);
  utimesSync(join(directory, "owner.1"), before, before);
  expect(takeOver()).toMatchObject({ epoch: 2, unproven: true });
});

test("who owned a directory before it was emptied does not take the next owner's file for its own", () => {
  const first = ownership.ownNew(spoolFs, directory, "first", "k");
  ownership.release(spoolFs, first);
  expect(takeOver()?.epoch).toBe(2);
  // That one has shipped all of it, and dies before it can remove the directory itself.
  unlinkSync(join(directory, "owner.2"));
  expect(ownership.takeOver(spoolFs, directory, "third", new ownership.OwnerWatch())).toBeDefined();
  expect(ownership.stillOwns(spoolFs, first)).toBe(false);
});

test.runIf(process.platform === "linux")("a living process is not dead when it cannot be looked up now", async () => {
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

test("releaseHeld() - gives up what is held for that log, and by this process, only", () => {
  owner({ holder: "first" });
  ownership.releaseHeld(spoolFs, directory, "second");
  expect(takeOver()).toBeUndefined();
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(takeOver()).toMatchObject({ epoch: 2, key: "k", unproven: false });
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(ownership.isOwned(spoolFs, directory)).toBe(true);
  writeFileSync(
    join(directory, "owner.3"),
    JSON.stringify({ ...ownership.thisProcess(), holder: "first", start: "1" }),
  );
  ownership.releaseHeld(spoolFs, directory, "first");
  expect(readFileSync(join(directory, "owner.3"), "utf8")).not.toContain("released");
});
