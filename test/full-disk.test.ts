/** A full disk, as small as a container's can be, and everything that must work without a free block or inode. */
import { type ChildProcess, execFileSync, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Health } from "seclog";
import { drainSpool } from "seclog/spool";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isLong } from "./support/long.ts";

const APP = fileURLToPath(new URL("support/full-disk-app.js", import.meta.url));
const MiB = 1024 * 1024;
const cannotMount = spawnSync("mount", ["--version"]).status !== 0 || process.getuid?.() !== 0;
if (cannotMount) console.warn("full-disk.test.ts: skipped, only root can mount a small disk");

interface State {
  readonly acknowledged: number;
  readonly refused: number;
  readonly health: Health;
  readonly closed?: true;
}

/** An application that soon fills the disk. */
class App {
  readonly child: ChildProcess;
  state: State | undefined;

  constructor(spool: object) {
    const options = { spool, handler: { out: join(folder, "out.ndjson"), control: join(folder, "control") } };
    this.child = fork(APP, [JSON.stringify(options)]);
    this.child.on("message", (state: State) => {
      this.state = state;
    });
  }

  async until(holds: (state: State) => boolean): Promise<State> {
    await expect.poll(() => this.state !== undefined && holds(this.state), { timeout: 60_000 }).toBe(true);
    return this.state as State;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit");
  }

  async close(): Promise<State> {
    this.child.send("close");
    return await this.until(({ closed }) => closed === true);
  }
}

let folder: string;
let disk: string;
let apps: App[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-full-disk-"));
  disk = join(folder, "disk");
  mkdirSync(disk);
  apps = [];
});
afterEach(async () => {
  for (const app of apps) await app.kill();
  spawnSync("umount", ["-l", disk]);
  rmSync(folder, { recursive: true, force: true });
});

function start(spool: object): App {
  const app = new App({ directory: join(disk, "spool"), ...spool });
  apps.push(app);
  return app;
}

/** Makes the handler accept events, or refuse them. */
function handlerIs(how: "away" | "back"): void {
  writeFileSync(join(folder, "control"), how === "away" ? "stuck" : "");
}

/** Leaves neither a byte nor an inode free. */
function fillUp(): void {
  for (const size of [64 * 1024, 4096, 0]) {
    for (let n = 0; n < 10_000; n++) {
      try {
        writeFileSync(join(disk, `ballast-${size}-${n}`), Buffer.alloc(size));
      } catch {
        break;
      }
    }
  }
}

const sources = (): string[] => readdirSync(join(disk, "spool")).filter((name) => name.length === 36);
const isFull = ({ health, refused }: State): boolean => health.status === "failing" && refused > 100;

describe.skipIf(cannotMount)("a full disk", () => {
  it.each([
    { size: "8m", spool: { segmentBytes: MiB, memoryBytes: MiB } },
    { size: "3m", spool: { segmentBytes: 4 * MiB, memoryBytes: 4 * MiB } },
    { size: "64m,nr_inodes=40", spool: { segmentBytes: MiB, memoryBytes: MiB } },
    ...(isLong
      ? [
          { size: "8m", spool: {} },
          { size: "24m", spool: { memoryBytes: 8 * MiB } },
        ]
      : []),
  ])(
    "accepts events again once the spool that filled it has shipped: $size, $spool",
    { timeout: 120_000 },
    async (at) => {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${at.size}`, "tmpfs", disk]);
      handlerIs("away");
      const app = start(at.spool);
      const { acknowledged } = await app.until(isFull);
      app.child.send("slowly");
      handlerIs("back");
      await app.until((state) => state.health.status === "ok");
      await app.until((state) => state.acknowledged > acknowledged + 1_000);
      const { health } = await app.close();
      expect(health.handlers[0]?.behind).toBe(0);
      expect(sources()).toEqual([]);
    },
  );

  it.each(["size=8m", "size=64m,nr_inodes=40"])(
    "needs no space to restart, to be shipped by another process, or to be taken over: %s",
    { timeout: 120_000 },
    async (size) => {
      execFileSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", disk]);
      const spool = { segmentBytes: MiB, memoryBytes: MiB };
      handlerIs("away");
      const first = start(spool);
      await first.until(isFull);
      await first.kill();
      fillUp();
      const second = start(spool);
      await second.until(({ refused }) => refused > 0);
      expect(sources()).toHaveLength(2);
      await second.kill();
      fillUp();
      // As in `seclog ship`.
      const { shipped, finished } = await drainSpool({
        directory: join(disk, "spool"),
        handlers: [{ name: "test", handle: () => Promise.resolve(), close: () => Promise.resolve() }],
        signal: AbortSignal.timeout(60_000),
      });
      expect(finished).toBe(2);
      expect(shipped).toBeGreaterThan(100);
      expect(sources()).toEqual([]);
      handlerIs("back");
      const third = start(spool);
      third.child.send("slowly");
      await third.until((state) => state.acknowledged > 500);
      await third.close();
    },
  );
});
