/** The sweep over the spool's file system calls: each fails once, and is once the moment of death. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Lives } from "../lives.js";
import { subfolder } from "../world.js";

/** What one life of a log records: enough to rotate and delete a segment. */
const LIFE = { count: 20, perTurn: 4, padded: true };
/** What is left for another process to ship. */
const LEFT = { ...LIFE, url: null };
const SYNCS = ["fdatasync", "fdatasyncSync", "fsync", "fsyncSync"];
const WRITES = ["writeSync", "writeFileSync"];
const READS = ["closeSync", "fstatSync", "lstatSync", "readFileSync", "readSync", "readdirSync", "statSync"];
/** Often enough that it never ends. */
const FOREVER = Number.MAX_SAFE_INTEGER;
/**
 * The most logs of one application awaited at a time. Each has a connection, and two applications must leave some to
 * those that ship what other points left.
 */
const MOST_LATE = 12;

/**
 * The three uses of a spool: by a log of its own, by the next life that adopts what a dead one left, and by
 * `drainSpool`. `threads` are those whose calls are swept.
 */
const PHASES = [
  { name: "record", threads: ["main", "worker"] },
  { name: "adopt", threads: ["worker"] },
  { name: "drain", threads: ["main"] },
];

/** The thread that syncs. */
const WRITER = { name: "record", threads: ["main"] };

export const SYSCALL_FAULTS = [
  {
    number: 3,
    name: "kill -9 at every file system call",
    runs: { full: 2_000, short: 8 },
    async run(context) {
      const world = await context.world();
      // Death after a call that only reads is death before the next one.
      const points = await pointsOf(world, (name) => [
        "before",
        ...(READS.includes(name) ? [] : ["after"]),
        ...(WRITES.includes(name) ? ["torn"] : []),
      ]);
      await sweepDeaths(context, world, points, [...writesOf(points), ...spread(points, context.runs)]);
      await context.finish(world);
    },
  },
  {
    number: 4,
    name: "EIO, ENOSPC or half a write at every file system call",
    runs: { full: 2_000, short: 12 },
    async run(context) {
      const world = await context.world();
      const points = await pointsOf(world, (name) => ["EIO", "ENOSPC", ...(name === "writeSync" ? ["short"] : [])]);
      // Also from each write and each sync of a segment on, so that there is time to query health; what was written
      // stays unshipped, since the application ends with the disk in that state.
      const lasting = points
        .filter((point) => point.phase === "record" && point.action === "EIO" && isOfSegment(point))
        .map((point) => ({ ...point, times: FOREVER, kept: true }));
      await sweepErrors(context, world, points, lasting);
      await context.finish(world);
    },
  },
  {
    number: 5,
    name: "sync fails, then succeeds, and what it was to sync is gone",
    runs: { full: 200, short: 4 },
    async run(context) {
      const world = await context.world();
      // Once; twice, so that the rewritten segment fails as well; and often, so that the writer pauses.
      const points = await pointsOf(world, () => ["EIO"], { only: SYNCS, phases: [WRITER] });
      const repeated = points.flatMap((point) => [1, 2, 5].map((times) => ({ ...point, times })));
      await sweepErrors(context, world, repeated);
      await context.finish(world);
    },
  },
  {
    number: "5b",
    name: "a write or a sync of a segment fails, then kill -9",
    // With each of the two kinds of file systems.
    runs: { full: 70, short: 3 },
    async run(context) {
      for (const kept of [false, true]) {
        const world = await context.world();
        const points = (await pointsOf(world, () => ["EIO"], { phases: [WRITER] })).filter(isOfSegment);
        const deaths = points.flatMap((point) => [1, 2, 3, 5, 8].map((dies) => ({ ...point, kept, dies })));
        await sweepDeaths(context, world, deaths, spread(deaths, context.runs));
        if (!kept) {
          const { lost } = await world.check();
          context.note(`${lost} events of durability "process" were lost with what the file system forgot`);
          await countDiskOnly(world);
        }
        // What it forgot of a segment looks torn, as after a power cut.
        await context.finish(world, { torn: !kept });
      }
    },
  },
  {
    number: "3b",
    name: "kill -9 by strace",
    runs: { full: 24, short: 1 },
    needs: needsStrace,
    run: (context) => straced(context, "signal=KILL"),
  },
  {
    number: "4b",
    name: "EIO by strace",
    runs: { full: 24, short: 1 },
    needs: needsStrace,
    run: (context) => straced(context, "error=EIO"),
  },
];

/** Runs each point in a process of its own, which dies of it. */
async function sweepDeaths(context, world, points, wanted) {
  const chosen = placed(world, wanted);
  const lives = await Lives.start(world);
  for (const point of chosen) await leaveFor(lives, point);
  await lives.end();
  const owned = [];
  await inParallel(chosen, 2, async (point) => {
    const lives = await Lives.start(world);
    try {
      await use(lives, world, point);
    } catch {
      // It died, as it should.
    }
    const died = await lives.end();
    if (wasHit(point)) {
      context.expect(died === "SIGKILL", `${describe(point)}: it was not killed (${died})`);
      context.ran();
    }
    // A process that died while writing its owner's file counts as alive for 20 seconds.
    if (!(await recover(context, world, point))) owned.push(point);
  });
  const deadline = performance.now() + 60_000;
  for (let point = owned.shift(); point !== undefined; point = owned.shift()) {
    if (await recover(context, world, point)) continue;
    context.expect(performance.now() < deadline, `${describe(point)}: it has an owner`);
    if (performance.now() > deadline) break;
    owned.push(point);
    await sleep(1_000);
  }
  cover(context, points, chosen);
}

/**
 * Where the file system forgets what it could not write, only the disk counts: removes the acknowledgements of durability
 * "process", which lives-app.js uses for every second event.
 */
async function countDiskOnly(world) {
  await world.ledgerIsRead();
  const ledger = join(world.folder, "ledger");
  const lines = readFileSync(ledger, "latin1").split("\n");
  writeFileSync(ledger, lines.filter((line) => !/^ack \S*[02468] /.test(line)).join("\n"));
}

/** Uses the spool in the point's phase while the point's fault happens. */
async function use(lives, world, { phase, directory, life, inject, times }) {
  const url = world.database.writerUrl;
  if (phase === "record") {
    const close = 20_000;
    if (times !== FOREVER) return await lives.call("open", { ...LIFE, life, directory, url, inject, close });
    // Queried before its close; the last diagnostics arrive a moment later.
    const opened = await lives.call("open", { ...LIFE, life, directory, url, inject });
    if (opened.code !== undefined) return opened;
    const { failures } = await lives.call("end", { life, deadline: close });
    return { ...opened, failures };
  }
  if (phase === "drain") return await lives.call("drain", { directory, url, inject, deadline: 20_000 });
  const opened = await lives.call("open", { life, directory, url, count: 2, inject });
  if (opened.code !== undefined) return opened;
  // It looks again every 15 seconds: points that wait for that are awaited together at the end.
  if (!(await lives.call("adopted", { life, deadline: 1_000 }))) return { ...opened, late: true };
  return await lives.call("end", { life, deadline: 20_000 });
}

/** A first run without a fault counts the calls of each phase. Returns every call with every action. */
async function pointsOf(world, actionsOf, { only, phases = PHASES } = {}) {
  const points = [];
  const lives = await Lives.start(world);
  for (const { name: phase, threads } of phases) {
    for (const thread of threads) {
      const directory = subfolder(world, `count-${phase}-${thread}`);
      const trace = join(world.folder, `calls-${phase}-${thread}`);
      const inject = { root: directory, thread, trace, ...(only === undefined ? {} : { only }) };
      const life = `c-${phase}-${thread}`;
      await leaveFor(lives, { phase, directory, life }, { close: 0 });
      const { late } = await use(lives, world, { phase, directory, life, inject });
      // On a busy machine the thread may not have started yet.
      if (late && !(await lives.call("adopted", { life, deadline: 40_000 }))) throw new Error("nothing was adopted");
      const calls = readFileSync(trace, "utf8").trimEnd().split("\n");
      for (const [index, call] of calls.entries()) {
        const [, name] = call.split(" ");
        for (const action of actionsOf(name)) points.push({ phase, thread, at: index + 1, call, name, action, only });
      }
    }
  }
  await lives.end();
  return points;
}

/**
 * The moments before the writes around the end of an application's first turn, always included: in that turn it
 * recorded events of durability "process", and may only acknowledge those that are written. The writes before them are
 * the segment's header and what did not wait for the turn's end.
 */
function writesOf(points) {
  return points
    .filter((point) => point.phase === "record" && point.action === "before" && isOfSegment(point))
    .filter(({ name }) => name === "writeSync")
    .slice(2, 5);
}

/** Whether it writes or syncs a segment in the thread that writes them. */
function isOfSegment({ thread, name, call }) {
  return thread === "main" && [...SYNCS, "writeSync"].includes(name) && call.endsWith(".seg");
}

/** At most `most` of the points, evenly spaced. */
function spread(points, most) {
  const step = Math.max(1, points.length / most);
  const chosen = [];
  for (let at = 0; at < points.length; at += step) chosen.push(points[Math.floor(at)]);
  return chosen;
}

/** The same points, each with a spool of its own. */
function placed(world, points) {
  return points.map((point, index) => {
    const life = `p${index}`;
    const directory = subfolder(world, life);
    const report = join(world.folder, `${life}-hit`);
    const { thread, at, action, only, times, kept, dies } = point;
    const inject = { root: directory, thread, at, action, only, times, kept, dies, report };
    return { ...point, life, directory, report, inject };
  });
}

/** Leaves another life's events in the spool, for the phases that need them. */
async function leaveFor(lives, { phase, directory, life }, options = {}) {
  if (phase !== "record") await lives.call("open", { ...LEFT, ...options, life: `${life}-left`, directory });
}

/** Runs points of each sweep in two applications, which must survive them all. */
async function sweepErrors(context, world, ...sweeps) {
  const chosen = placed(
    world,
    sweeps.flatMap((points) => spread(points, context.runs)),
  );
  const half = Math.ceil(chosen.length / 2);
  const parts = await Promise.allSettled(
    [chosen.slice(0, half), chosen.slice(half)].map((part) => survive(context, world, part)),
  );
  for (const { reason } of parts) if (reason !== undefined) throw reason;
  // The applications are alive, and all their logs are closed.
  const left = await connectionsLeft(world);
  context.expect(left === 0, `${left} connections are open although every log and every drain was closed`);
  const owned = [];
  for (const { value } of parts) {
    context.expect((await value.lives.end()) === "SIGKILL", "the application ended by itself");
    owned.push(...value.owned);
  }
  for (const point of owned)
    context.expect(await recover(context, world, point), `${describe(point)}: it has an owner`);
  cover(context, sweeps.flat(), chosen);
}

/** The writer's connections, after a few seconds for those that are about to close. */
async function connectionsLeft(world) {
  for (const end = performance.now() + 10_000; ; await sleep(200)) {
    const [{ count }] = await world.query(
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = 'faults_writer' AND datname = current_database()",
    );
    if (count === 0 || performance.now() > end) return count;
  }
}

/**
 * Runs the points in one application, one after the other.
 *
 * @returns {Promise<{ lives: Lives, owned: object[] }>} the application, and the points whose spool it still owns
 */
async function survive(context, world, points) {
  let lives = await Lives.start(world);
  const late = [];
  const owned = [];
  const awaitLate = async () => {
    const point = late.shift();
    const found = await lives.call("adopted", { life: point.life, deadline: 40_000 });
    context.expect(found, `${describe(point)}: the living application never shipped what the dead one left`);
    const result = await lives.call("end", { life: point.life, deadline: 20_000 });
    if (wasHit(point)) {
      context.ran();
      judge(context, point, result);
    }
    if (!(await recover(context, world, point))) owned.push(point);
  };
  for (const point of points) {
    await leaveFor(lives, point, { close: 0 });
    let result;
    try {
      result = await use(lives, world, point);
    } catch (error) {
      context.expect(false, `${describe(point)}: the application ended: ${error.message}`);
      await lives.end();
      lives = await Lives.start(world);
      // What it had yet to ship is now a dead process's.
      owned.push(point, ...late.splice(0));
      continue;
    }
    if (result.late && point.phase === "adopt") {
      late.push(point);
      if (late.length > MOST_LATE) await awaitLate();
      continue;
    }
    if (wasHit(point)) {
      context.ran();
      judge(context, point, result);
    }
    if (!(await recover(context, world, point))) owned.push(point);
  }
  while (late.length > 0) await awaitLate();
  return { lives, owned };
}

/** The promises beyond the zeros. */
function judge({ expect }, point, result) {
  if (point.phase === "drain") {
    expect(!result.late, `${describe(point)}: drainSpool did not end: ${JSON.stringify(result)}`);
    return;
  }
  if (result.recorded === 0) {
    // The log could not start: the application must see that at once, as one of our errors.
    expect(result.code?.startsWith("SECLOG_"), `${describe(point)}: createSecurityLog threw ${result.error}`);
    return;
  }
  const { recorded, acknowledged, refused, failures, health } = result;
  expect(acknowledged + refused === recorded, `${describe(point)}: ${recorded - acknowledged - refused} never settled`);
  // Events wait in memory while a disk refuses once: only one that keeps refusing makes a call fail.
  if ((point.times ?? 1) < 3) expect(refused === 0, `${describe(point)}: ${refused} refused`);
  if (point.times === FOREVER && refused > 0)
    expect(health.status === "failing", `${describe(point)}: health() says ${health.status} while the disk refuses`);
  // The call that was hit this time, since syncs beside the writes vary in order. The root is synced when a source is
  // created or removed, which does not write events, and nor does the reserve.
  const [thread, name, path] = readFileSync(point.report, "utf8").split("\n")[0].split(" ");
  const writing =
    thread === "main" &&
    point.action !== "short" &&
    path !== "" &&
    !path.startsWith("reserve/") &&
    [...SYNCS, "writeSync"].includes(name);
  if (writing) expect(failures.SECLOG_SPOOL_WRITE > 0, `${describe(point)}: no alarm: ${JSON.stringify(failures)}`);
}

/**
 * Ships what a point left, and checks that nothing remains.
 *
 * @returns false while the living application owns it: try again when that is dead
 */
async function recover({ expect }, world, point) {
  const left = () => readdirSync(point.directory).filter((name) => name.length === 36);
  if (left().length > 0) {
    const result = await world.drain({ directory: point.directory, deadline: 30_000 });
    if (left().length > 0 && left().length === result.owned) return false;
    expect(left().length === 0, `${describe(point)}: ${left().length} sources are left: ${JSON.stringify(result)}`);
  }
  rmSync(point.directory, { recursive: true, force: true });
  return true;
}

function describe({ phase, call, at, action, times = 1, dies }) {
  const often = times === FOREVER ? " for good" : times > 1 ? ` × ${times}` : "";
  const end = dies === undefined ? "" : `, dead ${dies} calls later`;
  return `${phase}, ${action}${often} at ${call} (call ${at})${end}`;
}

/** Whether the application reached the point. */
function wasHit({ report }) {
  return existsSync(report);
}

/** Reports how many points were reached: one that was not proves nothing. */
function cover({ expect, note }, points, chosen) {
  const hit = chosen.filter(wasHit);
  const distinct = new Set(hit.map(describe));
  const again = hit.length - distinct.size;
  const calls = new Set(points.map(({ phase, thread, at }) => `${phase} ${thread} ${at}`));
  const names = new Set(chosen.map(({ name }) => name));
  note(
    `${distinct.size} hits of ${points.length} distinct points${again > 0 ? ` (+ ${again} again)` : ""}: ` +
      `${calls.size} calls of ${names.size} functions`,
  );
  const missed = chosen.filter((point) => !wasHit(point));
  // Threads do not make the same calls every time.
  const few = missed.length <= Math.max(1, chosen.length / 20);
  expect(few, `${missed.length} of ${chosen.length} points were not reached: ${missed.map(describe).join("; ")}`);
}

async function inParallel(items, width, work) {
  const queue = [...items];
  const take = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, take));
}

/** The system calls that only the spool makes in an application, by the kernel's names. */
const KERNEL_CALLS = ["fdatasync", "fsync", "unlink", "rmdir", "mkdir"];
/**
 * Not with --seccomp-bpf, though it is faster: strace 6.1 then injects nothing into the first thread, which makes most
 * of these calls.
 */
const STRACE = ["strace", "-f", "-qq"];

/** The same with the kernel's calls, whichever function makes them; `when` counts per thread. */
async function straced(context, what) {
  const { expect, ran, note } = context;
  const world = await context.world();
  const url = world.database.writerUrl;
  const live = async (name, log, expression) => {
    const directory = subfolder(world, name);
    const lives = await Lives.start(world, { execArgv: [], wrap: [...STRACE, "-o", log, ...expression] });
    let result;
    try {
      const life = { ...LIFE, life: name, directory, url, close: 20_000 };
      result = await lives.call("open", life);
      // A log that could not start is opened again, as an operator would.
      if (result.code !== undefined) result = await lives.call("open", life);
    } catch {
      // Killed.
    }
    return { directory, result, ended: await lives.leave() };
  };

  const counted = join(world.folder, "strace-counted");
  await live("counted", counted, ["-e", `trace=${KERNEL_CALLS}`]);
  const points = kernelCalls(readFileSync(counted, "utf8"));
  const chosen = spread(points, context.runs);
  let hits = 0;
  for (const [run, { call, at }] of chosen.entries()) {
    const log = join(world.folder, `strace-${run}`);
    const expression = ["-e", `trace=${call}`, "-e", `inject=${call}:${what}:when=${at}`];
    const { directory, result, ended } = await live(`s${run}`, log, expression);
    const point = { phase: "record", action: what, call, at, directory };
    const hit = readFileSync(log, "utf8").includes(what.startsWith("error") ? "(INJECTED)" : "+++ killed by SIGKILL");
    if (what === "signal=KILL") expect(hit === (ended === "SIGKILL"), `${describe(point)}: it ended with ${ended}`);
    else expect(result !== undefined, `${describe(point)}: the application ended with ${ended}`);
    if (hit) hits++;
    ran();
    await recover(context, world, point);
  }
  // Which thread of the pool makes a call varies, so some runs may not reach it.
  expect(2 * hits > chosen.length, `only ${hits} of ${chosen.length} runs reached the intended call`);
  note(`${hits} of ${chosen.length} runs reached the intended call`);
  await context.finish(world);
}

/** Each call with each of its numbers in any thread, the first ones first. */
function kernelCalls(log) {
  const most = new Map();
  const counts = new Map();
  for (const [, thread, call] of log.matchAll(/^(\d+) +(\w+)\(/gm)) {
    const count = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, count);
    most.set(call, Math.max(count, most.get(call) ?? 0));
  }
  return [...most].flatMap(([call, count]) => Array.from({ length: count }, (_, index) => ({ call, at: index + 1 })));
}

function needsStrace() {
  const { status, error } = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]);
  if (error !== undefined) return "needs strace, which is not installed";
  return status === 0 ? undefined : "needs strace to be allowed to trace (CAP_SYS_PTRACE), and it is not";
}
