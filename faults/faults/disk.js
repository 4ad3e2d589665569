/** Disks that fill up, fail, or are taken away while the application runs, and recover while it still runs. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PostgresProxy, REFUSE } from "../proxy.js";
import { NOWHERE } from "../world.js";

const MiB = 1024 * 1024;
/** An application that fills segments quickly, and whose memory is soon full. */
const BUSY = { textLength: 6_000, perTurn: 10, pause: 5 };
const SMALL = { segmentBytes: MiB, memoryBytes: MiB };
/** A user that owns nothing on this machine: root may do everything. */
const NOBODY = 65_534;
/** What Node itself may add to its memory beside the events that wait there. */
const MORE_MEMORY = 100 * MiB;

export const DISK_FAULTS = [
  {
    number: 8,
    name: "disk full, then room is made",
    runs: { full: 8, short: 2 },
    needs: needsMount,
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        await onDisk(["-t", "tmpfs", "-o", "size=12m", "tmpfs"], async (disk) => {
          const ballast = join(disk, "ballast");
          // By turns with strict calls, which throw under any policy.
          const strict = { onFull: "drop", durability: { authz_fail: "strict" } };
          const policy = run % 4 < 2 ? {} : strict;
          await trouble(context, {
            spool: join(disk, "spool"),
            options: policy,
            run,
            begin: () => fill(ballast),
            again: true,
            end: () => rmSync(ballast),
          });
        });
        context.ran();
      }
    },
  },
  {
    number: 9,
    name: "half a write: the largest file size (RLIMIT_FSIZE)",
    runs: { full: 4, short: 2 },
    needs: needsPrlimit,
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        // Every file ends in the middle of a frame: nothing is refused, since the next file takes the rest. One write,
        // up to 256 KiB, must fit.
        const world = await context.world();
        const limit = 300_000 + Math.floor(Math.random() * 500_000);
        const app = await world.startApp(
          { ...BUSY, count: 600, spool: SMALL },
          { wrap: ["prlimit", `--fsize=${limit}:unlimited`] },
        );
        const { recorded, acknowledged, failures } = await app.done();
        context.expect(acknowledged === recorded, `files of ${limit} bytes: ${recorded - acknowledged} refused`);
        context.expect(failures.SECLOG_SPOOL_WRITE > 0, `files of ${limit} bytes: no alarm`);
        await app.close();
        await world.drain();
        await context.finish(world);

        // So small that no file takes an event, until the limit is raised.
        await trouble(context, {
          run,
          begin: (app) => setLimit(app, `--fsize=${run}:unlimited`),
          end: (app) => setLimit(app, "--fsize=unlimited:unlimited"),
        });
        context.ran();
      }
    },
  },
  {
    number: "10a",
    name: "no inodes",
    runs: { full: 4, short: 2 },
    needs: needsMount,
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        await onDisk(["-t", "tmpfs", "-o", "size=64m,nr_inodes=40", "tmpfs"], async (disk) => {
          const ballast = join(disk, "ballast");
          await trouble(context, {
            spool: join(disk, "spool"),
            run,
            begin: () => fillInodes(ballast),
            again: true,
            end: () => rmSync(ballast, { recursive: true }),
          });
        });
        context.ran();
      }
    },
  },
  {
    number: "10b",
    name: "no descriptors (RLIMIT_NOFILE)",
    runs: { full: 4, short: 2 },
    needs: needsPrlimit,
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        await trouble(context, {
          early: run % 4 < 2,
          run,
          begin: (app) => setLimit(app, "--nofile=3:"),
          end: (app) => setLimit(app, "--nofile=1024:"),
        });
        context.ran();
      }
    },
  },
  {
    number: "11a",
    name: "file system that the kernel made read-only",
    runs: { full: 3, short: 1 },
    needs: needsExt4,
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        await onExt4(async (disk, again) => {
          const world = await context.world({ spool: join(disk, "spool") });
          const away = { url: "postgresql://faults_writer:none@127.0.0.1:1/none" };
          const before = await world.startApp({ ...BUSY, count: 300, spool: SMALL }, away);
          await before.done();
          // An fdatasync that runs at that moment may report success for data that is not there (ext4 of Linux 6.18
          // does, every fourth time): nothing acknowledged in that moment can be promised, so this fault waits for
          // more.
          const patient = { ...BUSY, wait: "stored", inFlight: 100_000, spool: SMALL };
          const app = await world.startApp(patient, away);
          const { rss } = await app.until(({ recorded }) => recorded > 100);
          // What the kernel does when it finds such a file system damaged.
          execFileSync("mount", ["-o", "remount,abort", disk]);
          await untilItRefuses(app, rss, context.expect);
          await app.kill();
          await before.kill();
          // No disk recovers from that by itself: it is checked and mounted, and what it holds is shipped.
          again();
          await world.drain();
          context.expect(world.sources.length === 0, `${world.sources.length} sources are left`);
          await context.finish(world);
        });
        context.ran();
      }
    },
  },
  {
    number: "11b",
    name: "spool's folder removed",
    runs: { full: 3, short: 1 },
    async run(context) {
      for (let run = 0; run < context.runs; run++) {
        // Removing a spool removes what was not stored yet: only `stored` can be promised.
        const world = await context.world();
        const app = await world.startApp({ ...BUSY, wait: "stored", spool: SMALL });
        await app.until(({ acknowledged }) => acknowledged > 200);
        rmSync(world.spool, { recursive: true });
        await app.until(({ failures }) => failures.SECLOG_SPOOL_LOST > 0);
        const { acknowledged } = app.state;
        await app.until((state) => state.acknowledged > acknowledged + 200 && state.health.status === "ok");
        await app.close();
        await world.drain();
        context.expect(world.sources.length === 0, `${world.sources.length} sources are left`);
        await context.finish(world);
        context.ran();
      }
    },
  },
  {
    number: "11c",
    name: "spool's folder closed to the application (chmod)",
    runs: { full: 4, short: 2 },
    async run(context) {
      // Root can enter any folder, so the application runs as another user.
      const asRoot = process.getuid?.() === 0;
      for (let run = 0; run < context.runs; run++) {
        const world = await context.world();
        mkdirSync(world.spool, { mode: 0o700 });
        if (asRoot)
          for (const path of [world.folder, world.spool, join(world.folder, "pipe")]) chownSync(path, NOBODY, 0);
        const setMode = (mode) => {
          for (const name of world.sources) chmodSync(join(world.spool, name), mode);
        };
        await trouble(context, {
          world,
          run,
          wrap: asRoot ? ["setpriv", `--reuid=${NOBODY}`, "--clear-groups", "--bounding-set=-all"] : [],
          begin: () => setMode(0),
          end: () => setMode(0o700),
        });
        context.ran();
      }
    },
  },
  {
    number: "11d",
    name: "a dead process's folder is away for a moment while it is shipped",
    runs: { full: 4, short: 1 },
    async run(context) {
      const { expect, note, finish, ran } = context;
      let moves = 0;
      for (let run = 0; run < context.runs; run++) {
        const world = await context.world();
        const dead = await world.startApp({ count: LEFT, perTurn: 100, spool: SMALL }, { url: NOWHERE });
        await dead.done();
        await dead.kill();
        const [id] = world.sources;
        const proxy = await PostgresProxy.start(world.server.port);
        try {
          // Slow enough that the moves meet a drain of several batches.
          proxy.rate = 500_000;
          const url = proxy.through(world.database.writerUrl);
          // Shipped by an application that adopts it, or by turns `seclog ship`, which may end while it finds nothing.
          const living =
            run % 2 === 0 ? await world.startApp({ count: 50, handler: { batchSize: 500 } }, { url }) : undefined;
          const ship = () => world.startProgram(["ship", "--spool", world.spool], { url });
          const programs = living === undefined ? [ship()] : [];
          moves += await comeAndGo(world, id);
          for (const end = performance.now() + 60_000; world.sources.includes(id); await sleep(100)) {
            if (performance.now() > end) throw new Error("the folder that came back was not shipped completely");
            if (programs.at(-1)?.ended) programs.push(ship());
          }
          const failures = (await living?.close())?.failures ?? {};
          expect(failures.SECLOG_SPOOL_CORRUPT === undefined, "a folder that was away was reported as damaged");
          for (const { exited } of programs) await exited;
          for (const { output } of programs) expect(!/damage|quarantine/.test(output), `seclog ship said: ${output}`);
        } finally {
          await proxy.end();
        }
        await world.drain();
        const damage = await world.query(
          `SELECT reason FROM security_event_quarantine
           UNION ALL SELECT data::text FROM security_event_log WHERE event_type = 'event_quarantined'`,
        );
        expect(damage.length === 0, `a folder that was away was taken for damaged: ${JSON.stringify(damage)}`);
        await finish(world);
        ran();
      }
      expect(moves >= context.runs, `only ${moves} times a folder was moved while something of it was unshipped`);
      note(`${moves} times a folder with unshipped events was away and came back`);
    },
  },
  {
    number: "11e",
    name: "a living application's folder is away for a moment",
    runs: { full: 4, short: 1 },
    async run({ runs, world: create, expect, finish, ran, note }) {
      let slowest = 0;
      for (let run = 0; run < runs; run++) {
        const world = await create();
        const proxy = await PostgresProxy.start(world.server.port);
        try {
          // Acknowledged events wait in the folder when it goes.
          proxy.trap = REFUSE;
          const durability = { authz_fail: ["disk", "process"][run % 2] };
          const url = proxy.through(world.database.writerUrl);
          const app = await world.startApp({ perTurn: 5, pause: 20, durability, spool: SMALL }, { url });
          const { acknowledged: waiting } = await app.until(({ acknowledged }) => acknowledged > 500);
          const [id] = world.sources;
          const place = join(world.spool, id);
          const elsewhere = join(world.folder, "away");
          renameSync(place, elsewhere);
          const { acknowledged } = await app.until(({ failures }) => failures.SECLOG_SPOOL_LOST > 0);
          await app.until((state) => state.acknowledged > acknowledged + 100);
          await sleep(1_000 + Math.random() * 2_000);
          renameSync(elsewhere, place);
          proxy.trap = undefined;
          // Any process may ship it while the application runs.
          const back = performance.now();
          while (existsSync(place)) {
            if (performance.now() - back > 60_000) throw new Error("a folder that came back was not shipped");
            if (app.ended) throw new Error(`the application ended (${await app.exited}): ${app.errors}`);
            await sleep(50);
          }
          slowest = Math.max(slowest, performance.now() - back);
          const [{ stored }] = await world.query(
            "SELECT count(*)::int AS stored FROM security_event_log WHERE source_id = $1 AND category <> 'log'",
            [id],
          );
          expect(stored >= waiting, `${stored} of at least ${waiting} events of a folder that came back are stored`);
          const { failures } = app.state;
          expect(failures.SECLOG_SPOOL_CORRUPT === undefined, "a folder that was away was reported as damaged");
          await app.until(({ health }) => health.status === "ok");
          await app.close();
        } finally {
          await proxy.end();
        }
        expect(world.sources.length === 0, `${world.sources.length} sources are left`);
        await finish(world);
        ran();
      }
      note(`a folder that came back was shipped and gone after at most ${(slowest / 1_000).toFixed(0)} s`);
    },
  },
];

/** How many events a dead process leaves. */
const LEFT = 8_000;

/**
 * Moves a source's folder away and back five times.
 *
 * @returns {Promise<number>} how often it came back with something still unshipped
 */
async function comeAndGo(world, id) {
  const place = join(world.spool, id);
  const elsewhere = join(world.folder, "away");
  const position = async () =>
    (await world.query("SELECT last_seq::int AS seq FROM security_event_source WHERE id = $1", [id]))[0]?.seq ?? 0;
  let moves = 0;
  for (const end = performance.now() + 60_000; (await position()) === 0; await sleep(10)) {
    if (performance.now() > end) throw new Error("nothing of the backlog was shipped");
  }
  for (let time = 0; time < 5 && existsSync(place); time++) {
    renameSync(place, elsewhere);
    await sleep(100 + Math.random() * 2_000);
    if ((await position()) < LEFT) moves++;
    renameSync(elsewhere, place);
    await sleep(Math.random() * 1_000);
  }
  return moves;
}

const refuses = ({ health, refused, failures }) =>
  health.status === "failing" && refused > 0 && health.dropped > 0 && failures.SECLOG_SPOOL_WRITE > 0;

/** Refused events in the long form: keeping them all would take more than {@link MORE_MEMORY}. */
const MANY = 30_000;

/**
 * Resolves when memory is full and enough events were refused, or when the application exceeds its memory.
 *
 * @param before resident bytes while the disk was healthy
 */
async function untilItRefuses(app, before, expect, { atLeast = 0, meanwhile = () => {} } = {}) {
  const state = await app.until((now) => {
    meanwhile();
    return (refuses(now) && now.refused >= atLeast) || now.rss > mostMemory(before);
  }, 120_000);
  expectMemory(state, before, expect);
  return state;
}

const mostMemory = (before) => before + SMALL.memoryBytes + MORE_MEMORY;

function expectMemory({ rss }, before, expect) {
  const inMiB = (bytes) => (bytes / MiB).toFixed(0);
  const sentence = `${inMiB(rss)} MiB are resident, ${inMiB(before)} MiB were while the disk was healthy`;
  expect(rss <= mostMemory(before), `${sentence}, and spool.memoryBytes is ${inMiB(SMALL.memoryBytes)} MiB`);
}

/**
 * An application runs, its disk refuses until memory is full and events are dropped, and then the disk recovers. The
 * application must say so, count its drops, survive, take no more memory, and take events again without a restart.
 * Every second application dies while the disk refuses, and with it everything that was only in memory: none of that
 * may have been acknowledged.
 */
async function trouble(
  { world: create, short, expect, finish },
  { world, spool, options, wrap, early = false, run, begin, again = false, end },
) {
  const dies = run % 2 === 1;
  world ??= await create(spool === undefined ? {} : { spool });
  const app = await world.startApp({ ...BUSY, spool: SMALL, ...options }, wrap === undefined ? {} : { wrap });
  // `early`: perhaps before the shipper's thread has loaded its modules. `again`: shipping has made room to fill.
  const begun = (state) => state.acknowledged > 200 && (early || state.health.handlers[0].shipped > 0);
  const { rss } = await app.until(begun);
  begin(app);
  const { acknowledged, thrown, refused } = await untilItRefuses(app, rss, expect, {
    atLeast: run === 0 && !short ? MANY : 0,
    meanwhile: () => again && begin(app),
  });
  if (dies) await app.kill();
  end(app);
  const strict = options?.durability !== undefined;
  expect(thrown === (strict ? refused : 0), `${thrown} calls threw, ${refused} events were refused`);
  let dropped;
  if (!dies) {
    const well = (state) => state.acknowledged > acknowledged + 200 && state.health.status === "ok";
    const state = await app.until(well);
    const { failures } = state;
    // Checked again, since without descriptors the application cannot measure its memory.
    expectMemory(state, rss, expect);
    expect(failures.SECLOG_RECOVERED > 0, "it did not report its recovery");
    const { health, closed } = await app.close();
    expect(closed !== undefined, `the application did not close: ${app.errors}`);
    dropped = health.dropped;
  }
  await world.drain();
  const [{ reported }] = await world.query(
    "SELECT coalesce(sum(count), 0)::int AS reported FROM security_event_log WHERE event_type = 'events_dropped'",
  );
  expect(world.sources.length === 0, `${world.sources.length} sources are left`);
  const { tried, stored } = await finish(world);
  if (dies) return;
  expect(reported === dropped, `${dropped} events were dropped, and the log reports ${reported}`);
  // Checked against the table as well: health() and the log share a counter.
  expect(
    tried - stored === dropped,
    `${dropped} events were dropped, and ${tried - stored} of ${tried} are not stored`,
  );
}

/** Sets a kernel limit of one process; it goes with the process. */
function setLimit({ child, ended }, change) {
  if (!ended) execFileSync("prlimit", ["--pid", `${child.pid}`, change]);
}

/** Leaves no byte. */
function fill(ballast) {
  // The application writes meanwhile: the last pages may go to either.
  for (const piece of [Buffer.alloc(64 * 1024), Buffer.alloc(4096)]) {
    for (let size = 0; size < 1e9; size += piece.length) {
      try {
        writeFileSync(ballast, piece, { flag: "a" });
      } catch {
        break;
      }
    }
  }
}

/** Leaves no inode. */
function fillInodes(ballast) {
  mkdirSync(ballast, { recursive: true });
  for (let n = 0; n < 1_000; n++) {
    try {
      writeFileSync(join(ballast, `${n}`), "");
    } catch {
      return;
    }
  }
}

/** Mounts a file system on a new folder, and removes both afterwards. */
async function onDisk(mount, work) {
  const disk = mkdtempSync(join(tmpdir(), "seclog-faults-disk-"));
  execFileSync("mount", [...mount, disk]);
  try {
    await work(disk);
  } finally {
    // Lazily: after a failure an application may still have files there.
    if (spawnSync("umount", [disk]).status !== 0) spawnSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true, force: true });
  }
}

/** An ext4 of its own, and a function that checks it and mounts it again. */
async function onExt4(work) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-faults-ext4-"));
  const image = join(folder, "image");
  try {
    writeFileSync(image, "");
    truncateSync(image, 64 * 1024 * 1024);
    execFileSync("mkfs.ext4", ["-q", image]);
    await onDisk(["-o", "loop", image], async (disk) => {
      const again = () => {
        execFileSync("umount", [disk]);
        // 1: errors were corrected.
        const { status } = spawnSync("e2fsck", ["-fp", image]);
        if (status > 1) throw new Error(`e2fsck: ${status}`);
        execFileSync("mount", ["-o", "loop", image, disk]);
      };
      await work(disk, again);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function needsMount() {
  return mountable(["-t", "tmpfs", "tmpfs"]) ? undefined : "needs the privilege to mount (CAP_SYS_ADMIN)";
}

function needsExt4() {
  if (spawnSync("mkfs.ext4", ["-V"]).error !== undefined) return "needs mkfs.ext4, which is not installed";
  const loop = needsMount() === undefined && existsSync("/dev/loop-control");
  return loop ? undefined : "needs the privilege to mount (CAP_SYS_ADMIN) and loop devices";
}

function mountable(mount) {
  const disk = mkdtempSync(join(tmpdir(), "seclog-faults-disk-"));
  const { status } = spawnSync("mount", [...mount, disk]);
  if (status === 0) execFileSync("umount", [disk]);
  rmSync(disk, { recursive: true, force: true });
  return status === 0;
}

function needsPrlimit() {
  return spawnSync("prlimit", ["--version"]).error === undefined
    ? undefined
    : "needs prlimit of util-linux, which is not installed";
}
