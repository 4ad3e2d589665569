/** Processes that are stopped and replaced, share a spool, run out of memory, and end in every possible way. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PostgresProxy, REFUSE } from "../proxy.js";
import { isAdvance, isCommitted } from "../server.js";
import { NOWHERE } from "../world.js";
import { POISON_FAULTS } from "./poison.js";

/** As in another container on the same volume: processes here and there cannot see each other. */
const ELSEWHERE = [
  ..."unshare --pid --fork --kill-child --mount-proc sh -c".split(" "),
  // The first process of the namespace could not stop itself.
  '"$0" "$@"; exit $?',
];

const noNamespaces = () => {
  try {
    execFileSync("unshare", ["--pid", "--fork", "--mount-proc", "true"], { stdio: "ignore" });
  } catch {
    return "needs unshare(1) and the privilege to make a PID namespace";
  }
};

const ZOMBIES = [
  {
    number: "22a",
    name: "application stopped, its spool taken over, continued",
    runs: { full: 12, short: 1 },
    needs: noNamespaces,
    async run({ runs, world: create, finish, ran, expect, note }) {
      const world = await create();
      for (let run = 0; run < runs; run++) {
        const app = await world.startApp(
          // One event at a time, so that nothing but its own write precedes its acknowledgement; or many at a time.
          {
            ...(run % 4 < 2 ? { perTurn: 1, inFlight: 1 } : { perTurn: 5 }),
            pause: 1,
            handler: { statementTimeout: 2_000 },
          },
          {
            wrap: ELSEWHERE,
            execArgv: ["--import", fileURLToPath(new URL("../preloads/stop-self.js", import.meta.url))],
          },
        );
        const pid = lastDescendant(app.child.pid);
        await app.until(({ acknowledged }) => acknowledged > 50);
        // Stop at the first calls one by one, then at later ones.
        app.child.send({ stopAt: run < 10 ? run + 1 : 1 + Math.floor(Math.random() * 60) });
        await until(() => isStopped(pid), "the application did not stop");
        beSilent(world);
        // A stop that costs the ownership lasts minutes; the writer checks it again after more than a second.
        await sleep(1_100);
        const draining = world.drain();
        if (run % 2 === 0) await draining;
        else {
          // Within the time that a new owner leaves the old one to notice, or after that.
          await until(() => owners(world) !== 1, "it was not taken over");
          await sleep(Math.random() * 3_000);
        }
        process.kill(pid, "SIGCONT");
        const { acknowledged } = await app.until(({ failures }) => failures.SECLOG_SPOOL_LOST > 0);
        await app.until((state) => state.acknowledged > acknowledged + 20);
        await draining;
        await app.close();
        await world.drain();
        ran();
      }
      expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
      note(`${runs} times the application reported that it lost its spool, and continued with a new source`);
      await finish(world);
    },
  },
  {
    number: "22b",
    name: "seclog ship stopped, another one takes over, continued",
    runs: { full: 8, short: 1 },
    needs: noNamespaces,
    async run({ runs, world: create, finish, ran, expect, note }) {
      const world = await create();
      let contests = 0;
      let fenced = 0;
      for (let run = 0; run < runs; run++) {
        const backlog = async () => {
          const app = await world.startApp({ count: 20_000, perTurn: 200, inFlight: 5_000 }, { url: NOWHERE });
          await app.done();
          await app.kill();
          beSilent(world);
        };
        await backlog();
        if (run % 5 === 0) {
          await overtake(world, expect);
          contests++;
          ran();
          continue;
        }
        const zombie = world.startProgram(["ship", "--spool", world.spool], { wrap: ELSEWHERE });
        await until(() => zombie.ended || owners(world) !== 1, "seclog ship took nothing over");
        // The takeover is complete once a living owner would have noticed it.
        await sleep(2_000 + Math.random() * 800);
        if (!zombie.ended) {
          const pid = lastDescendant(zombie.child.pid);
          process.kill(pid, "SIGSTOP");
          await until(() => isStopped(pid), "seclog ship did not stop");
          if (owners(world) === 2) contests++;
          beSilent(world);
          const heir = world.startProgram(["ship", "--spool", world.spool]);
          await until(() => heir.ended || owners(world) !== 2, "it was not replaced");
          // The zombie may hold a transaction that the heir waits for; it wakes up while the heir works, or after it.
          await Promise.race([heir.exited, sleep(500 + Math.random() * 5_000)]);
          process.kill(pid, "SIGCONT");
          await zombie.exited;
          await heir.exited;
          if (/SECLOG_SOURCE_FENCED|has moved on to epoch/.test(zombie.output)) fenced++;
        } else await zombie.exited;
        const last = world.startProgram(["ship", "--spool", world.spool]);
        expect((await last.exited) === 0, `seclog ship failed: ${last.output}`);
        ran();
      }
      expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
      expect(contests > 0, "no seclog ship was stopped while it held a source");
      note(`${contests} contests for a source; ${fenced} times the database refused the old owner`);
      await finish(world);
    },
  },
];

/** Not stopped: it writes and acknowledges all the while. */
const LIVING = {
  number: "22c",
  name: "living application taken for dead",
  runs: { full: 6, short: 1 },
  needs: noNamespaces,
  async run({ runs, world: create, finish, ran, expect }) {
    const world = await create();
    for (let run = 0; run < runs; run++) {
      const app = await world.startApp(
        { ...(run % 2 === 0 ? { perTurn: 1, inFlight: 1 } : { perTurn: 5 }), pause: 2, durability: deliveries(run) },
        {
          wrap: ELSEWHERE,
          execArgv: ["--import", fileURLToPath(new URL("../preloads/silent-owner.js", import.meta.url))],
        },
      );
      await app.until(({ acknowledged }) => acknowledged > 50);
      beSilent(world);
      // Its next source is taken for a dead one's as well, and so on: the drain ends in the middle of that.
      const { finished } = await world.drain({ deadline: 25_000 });
      expect(finished >= 1, "the application was not taken for dead");
      const { acknowledged } = await app.until(({ failures }) => failures.SECLOG_SPOOL_LOST > 0);
      await app.until((state) => state.acknowledged > acknowledged + 20);
      await app.close();
      await world.drain();
      ran();
    }
    expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);
    await finish(world);
  },
};

/** Every durability in turn. */
const deliveries = (run) => ({ authz_fail: ["disk", "process", "strict"][run % 3] });

/**
 * The old owner is stopped with a whole batch in its transaction, and the message that advances its position arrives
 * only once the new owner has opened the source. The database must refuse it: from then on only the new owner decides
 * what the source has.
 */
async function overtake(world, expect) {
  const proxy = await PostgresProxy.start(world.server.port);
  try {
    const ship = ["ship", "--spool", world.spool];
    const held = proxy.hold(isAdvance);
    const zombie = world.startProgram(ship, { wrap: ELSEWHERE, url: proxy.through(world.database.writerUrl) });
    await Promise.race([held.met, zombie.exited]);
    expect(!zombie.ended, `seclog ship ended before its first batch: ${zombie.output}`);
    const pid = lastDescendant(zombie.child.pid);
    process.kill(pid, "SIGSTOP");
    await until(() => isStopped(pid), "seclog ship did not stop");
    const [id] = world.sources;
    const source = async () =>
      (await world.query("SELECT epoch, last_seq::int FROM security_event_source WHERE id = $1", [id]))[0];
    const before = await source();

    beSilent(world);
    const heir = world.startProgram(ship);
    for (const end = performance.now() + 60_000; (await source()).epoch === before.epoch; await sleep(20)) {
      if (performance.now() > end || heir.ended) throw new Error(`the source was not taken over: ${heir.output}`);
    }
    const answer = new Promise((resolve) => {
      proxy.trap = (message) => {
        if (message.from === "server" && message.type === "E") resolve("refused");
        if (isCommitted(message)) resolve("stored");
      };
    });
    held.release();
    const said = await within(answer, "the database did not answer the old owner");
    expect(said === "refused", `the old owner's batch was ${said} after another one had opened the source`);
    process.kill(pid, "SIGCONT");
    await zombie.exited;
    await heir.exited;
    expect(/SECLOG_SOURCE_FENCED|has moved on to epoch/.test(zombie.output), `the old owner said: ${zombie.output}`);
  } finally {
    await proxy.end();
  }
}

const SHARED_SPOOL = {
  number: 23,
  name: "four applications on one spool, one of them killed",
  runs: { full: 12, short: 1 },
  async run({ runs, short, world: create, finish, ran, expect, note }) {
    const world = await create();
    for (let run = 0; run < runs; run++) {
      const apps = await Promise.all([1, 2, 3, 4].map(() => world.startApp({ pause: 4 })));
      await sleep(Math.random() * 1_000);
      await apps[run % 4].kill();
      const living = apps.filter((app) => !app.ended);
      // Either a new one looks at its start, or the others find it within 15 seconds.
      if (short || run > 0) living.push(await world.startApp({ pause: 4 }));
      await until(() => world.sources.length <= living.length, "the dead one's events were not adopted");
      for (const app of living) {
        // The folder goes before its adopter reports it, and a call may be under way again: health must become ok.
        const { failures, refused } = await app.until(({ health }) => health?.status === "ok");
        const reported = Object.keys(failures).join(", ");
        expect(refused === 0 && !/LOST|FENCED|LOCKED/.test(reported), `one of four: ${refused} refused, ${reported}`);
      }
      await Promise.all(living.map((app) => app.close()));
      ran();
    }
    expect(world.sources.length === 0, `${world.sources.length} sources are left in the spool`);

    await shareRoom(world, expect, note);
    ran();
    await finish(world);
  },
};

/**
 * Once less is left of `spool.maxBytes`, events are refused: the sum of the reserves of `pipeline/disk-pipeline.ts` and
 * `spool/reserve.ts`.
 */
const RESERVE_BYTES = 512 * 1024;
/**
 * An attempt of the handler, a few looks at what the others take (one every 15 seconds), and a margin for a busy
 * machine.
 */
const ROOM_MS = 90_000;

/**
 * Applications that share a limit reach it while PostgreSQL is down, in files that are not full: only full ones can
 * simply be deleted. Once it is back, each must take events again, whichever holds the room; at first two idle
 * applications hold all of it.
 */
async function shareRoom(world, expect, note) {
  const spool = { maxBytes: 2 * MiB, segmentBytes: MiB };
  const room = spool.maxBytes - RESERVE_BYTES;
  const proxy = await PostgresProxy.start(world.server.port);
  try {
    proxy.trap = REFUSE;
    const url = proxy.through(world.database.writerUrl);
    const start = () => world.startApp({ spool, perTurn: 5, pause: 10 }, { url });
    const startUntil = async (bytes) => {
      const app = await start();
      await until(() => folderBytes(world.spool) >= bytes, "an application did not fill its part of the spool");
      app.child.send("pause");
      return app;
    };
    const idle = await startUntil(room / 2);
    const paused = await startUntil(room - MiB / 32);
    const first = await start();
    await first.until(({ refused }) => refused > 0);
    const full = folderBytes(world.spool);
    const second = await start();
    await second.until(({ refused }) => refused > 0);
    const together = folderBytes(world.spool);
    await sleep(2_000);
    const later = folderBytes(world.spool);
    expect(full > spool.maxBytes / 2, `refused with ${full} bytes in the spool, maxBytes are ${spool.maxBytes}`);
    expect(later <= together + MiB, `the spool kept growing from ${together} to ${later} bytes`);
    expect(together < 2 * spool.maxBytes, `four applications took ${together} bytes of ${spool.maxBytes}`);
    for (const app of [first, second]) {
      const { health } = await app.until((state) => state.health?.dropped > 0);
      expect(health.status !== "ok", "health is ok although events are dropped");
    }

    proxy.trap = undefined;
    const back = performance.now();
    const takesAgain = async (app) => {
      const { acknowledged } = app.state;
      // More than the free room and one file hold, so that room must be released more than once.
      await app.until((state) => state.acknowledged > acknowledged + 1_000, ROOM_MS);
    };
    await Promise.all([first, second].map(takesAgain));
    const seconds = (performance.now() - back) / 1_000;
    paused.child.send("resume");
    await takesAgain(paused);
    for (const app of [first, second, paused]) app.child.send("pause");
    for (const app of [idle, paused, first, second]) {
      const isWell = ({ health }) => health.status === "ok" && health.handlers[0].behind === 0;
      await app.until(isWell, ROOM_MS);
      const { health, refused } = await app.close();
      expect(health.dropped === refused, `${refused} refused, health() says ${health.dropped}`);
    }
    expect(world.sources.length === 0, `${world.sources.length} sources are left in the full spool`);
    note(
      `spool.maxBytes ${MB(spool.maxBytes)}: three applications ${MB(full)}, four ${MB(later)}; ` +
        `${seconds.toFixed(0)} s after PostgreSQL was back those that had been refused had taken 1,000 more each`,
    );
  } finally {
    await proxy.end();
  }
}

const MEMORY = {
  number: 25,
  name: "event loop blocked, memory tight, killed for it",
  runs: { full: 2, short: 1 },
  async run({ runs, short, world: create, finish, ran, expect, note }) {
    const world = await create();
    const blockMs = short ? 2_000 : 10_000;
    const most = short ? 10_000 : 50_000;
    const died = { heap: new Set(), memory: new Set() };
    let rss = 0;
    let oneTurn = 0;
    const skipped = new Set();
    for (let run = 0; run < runs; run++) {
      const blocked = await world.startApp();
      await blocked.until(({ acknowledged }) => acknowledged > 100);
      const { recorded } = blocked.state;
      blocked.child.send({ block: blockMs });
      const { health, failures, refused } = await blocked.until(
        (state) => state.stall >= blockMs - 100 && state.acknowledged > recorded + 1_000,
      );
      expect(refused === 0 && health.dropped === 0, `${health.dropped} events dropped after a blocked event loop`);
      expect(Object.keys(failures).length === 0, `a blocked event loop was taken for ${Object.keys(failures)}`);
      await blocked.close();

      // One turn that records more than spool.memoryBytes: the call waits for the disk instead of dropping.
      const greedy = await world.startApp({
        count: most,
        perTurn: most,
        inFlight: most,
        spool: { memoryBytes: MiB },
      });
      const state = await greedy.done();
      expect(state.refused === 0, `${state.refused} of ${most} events of one turn were refused`);
      oneTurn = Math.max(oneTurn, state.rss);
      await greedy.close();

      // No database, little memory, many events: the queue is on disk.
      for (const [what, place] of Object.entries(TIGHT)) {
        const limits = place();
        if (limits === undefined) {
          skipped.add(what);
          continue;
        }
        try {
          const app = await world.startApp({ count: most, perTurn: 50 }, { url: NOWHERE, ...limits.how });
          const done = await app.done();
          expect(done.refused === 0, `${what}: ${done.refused} of ${most} events were refused`);
          rss = Math.max(rss, done.rss);
          app.child.send({ eat: limits.eat });
          died[limits.eat].add(await within(app.exited, `${what}: memory did not run out`));
        } finally {
          limits.end?.();
        }
      }
      await world.drain();
      ran();
    }
    const ends = `${[...died.heap]} and ${[...died.memory]}`;
    expect(!died.heap.has(0) && !died.memory.has(0), `memory did not run out: ${ends}`);
    note(
      `${most} events with PostgreSQL away and memory tight: at most ${MB(rss)} resident; in one turn ${MB(oneTurn)}`,
    );
    for (const what of skipped) note(`${what}: skipped, this machine does not allow a memory cgroup`);
    note(`ended by heap limit and by the kernel as ${ends}`);
    await finish(world);
  },
};

/** How memory is made tight, and what then takes it. */
const TIGHT = {
  "--max-old-space-size=48": () => ({ how: { execArgv: ["--max-old-space-size=48"] }, eat: "heap" }),
  "cgroup with 192 MiB": () => {
    const folder = memoryCgroup(192 * MiB);
    if (folder === undefined) return undefined;
    const wrap = ["sh", "-c", `echo $$ > ${folder}/cgroup.procs && exec "$0" "$@"`];
    return { how: { wrap }, eat: "memory", end: () => rmdirSync(folder) };
  },
};

/**
 * The most that close() waits beyond its deadline for the shipper's thread, as `ship/ship-thread.ts` has it, in
 * milliseconds.
 */
const STOP_MS = 5_000;

const EXITS = {
  number: 26,
  name: "every way out of a process",
  runs: { full: 5, short: 1 },
  async run({ runs, short, world: create, finish, ran, expect, note }) {
    const world = await create();
    const longest = {};
    /**
     * Runs an application to its end, ships what it left, and returns how many of its events were tried and are stored.
     */
    const life = async (what, options, how, wanted, act = () => {}) => {
      const app = await world.startApp(options, how);
      await act(app);
      const ended = await within(app.exited, `${what}: it did not end`);
      expect(ended === wanted, `${what}: ended with ${ended}, not ${wanted}: ${app.errors}`);
      await world.drain();
      await world.ledgerIsRead();
      const tried = (
        readFileSync(join(world.folder, "ledger"), "latin1").match(new RegExp(`^try ${app.life}-`, "gm")) ?? []
      ).length;
      const [{ stored }] = await world.query(
        "SELECT count(*)::int AS stored FROM security_event_log WHERE data->>'key' LIKE $1",
        [`${app.life}-%`],
      );
      return { app, tried, stored };
    };
    const whole = ({ tried, stored }, what) =>
      expect(tried > 0 && tried === stored, `${what}: ${stored} of ${tried} recorded events are stored`);

    for (let run = 0; run < runs; run++) {
      // The 'exit' event runs: it saves even what the turn recorded and did not await.
      for (const [index, [how, code]] of Object.entries({ exit: 3, throw: 1, reject: 1, end: 5 }).entries()) {
        for (const url of short ? [[undefined, NOWHERE][index % 2]] : [undefined, NOWHERE]) {
          const at = 1 + Math.floor(Math.random() * 500);
          const what = `${how}${url === undefined ? "" : " without PostgreSQL"}`;
          whole(await life(what, { leave: { at, how } }, { url }, code), what);
          ran();
        }
      }
      // A signal without a handler ends the process as SIGKILL does; with one that closes the log, everything is
      // stored.
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
        const some = async (app) => {
          await app.until(({ acknowledged }) => acknowledged > 20);
          await sleep(Math.random() * 100);
          app.child.kill(signal);
        };
        await life(signal, {}, {}, signal, some);
        whole(await life(`${signal} with close()`, { signals: [signal] }, {}, 0, some), `${signal} with close()`);
        ran(2);
      }
      // close() with a deadline, when PostgreSQL refuses and when it never answers.
      const mute = createServer((socket) => socket.on("error", () => {}));
      await new Promise((resolve) => mute.listen(0, "127.0.0.1", resolve));
      try {
        const silent = `postgresql://nobody:nothing@127.0.0.1:${mute.address().port}/nowhere`;
        for (const [what, url, most] of [
          ["refusing", NOWHERE, 0],
          ["silent", silent, STOP_MS],
        ]) {
          const sentence = `close() with PostgreSQL ${what}`;
          const result = await life(sentence, { count: 500, close: 500 }, { url }, 0);
          whole(result, sentence);
          const { closed } = result.app.state;
          // The deadline, the time that the shipper's thread may take to stop, and a margin for a busy machine.
          expect(closed < 500 + most + 2_000, `${sentence} took ${Math.round(closed)} ms`);
          longest[sentence] = Math.max(longest[sentence] ?? 0, Math.round(closed));
          ran();
        }
      } finally {
        mute.close();
      }
      // The shipper's thread crashes, again and again, and the application continues.
      const count = 3_000;
      const crashing = async (app) => {
        const { failures, refused } = await app.until(
          (state) => state.done && Object.values(state.failures).some((times) => times > 0),
        );
        expect(refused === 0, `thread crash: ${refused} events refused`);
        expect(Object.keys(failures).length > 0, "thread crash: no diagnostic");
        await app.close();
      };
      const result = await life(
        "thread crash",
        { count, pause: 10, crashes: true, closeDeadline: 2_000 },
        {},
        0,
        crashing,
      );
      whole(result, "thread crash");
      ran();
    }
    for (const [sentence, ms] of Object.entries(longest))
      note(`${sentence}: ${ms} ms at most with a deadline of 500 ms`);
    await finish(world);
  },
};

export const PROCESS_FAULTS = [...POISON_FAULTS, ...ZOMBIES, LIVING, SHARED_SPOOL, MEMORY, EXITS];

const MiB = 1024 * 1024;
const MB = (bytes) => `${(bytes / MiB).toFixed(1)} MiB`;

async function until(condition, otherwise, deadline = 60_000) {
  const end = performance.now() + deadline;
  while (!condition()) {
    if (performance.now() > end) throw new Error(otherwise);
    await sleep(5);
  }
}

async function within(promise, otherwise, deadline = 60_000) {
  const controller = new AbortController();
  const late = sleep(deadline, undefined, { signal: controller.signal, ref: false }).then(() => {
    throw new Error(otherwise);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    controller.abort();
    late.catch(() => {});
  }
}

/** The innermost process that a command runs. */
function lastDescendant(pid) {
  for (let last = pid; ; ) {
    const [child] = readFileSync(`/proc/${last}/task/${last}/children`, "latin1").trim().split(" ");
    if (child === "") return last;
    last = Number(child);
  }
}

function isStopped(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat[stat.lastIndexOf(")") + 2] === "T";
}

/** Makes the owners look as if they had not renewed their files for longer than a foreign owner may be silent. */
function beSilent(world) {
  const then = new Date(Date.now() - 6 * 60_000);
  for (const id of world.sources) {
    for (const name of readdirSync(join(world.spool, id))) {
      if (/^owner\.\d+$/.test(name)) utimesSync(join(world.spool, id, name), then, then);
    }
  }
}

/** The highest epoch in the spool, 0 when it is empty. */
function owners(world) {
  return Math.max(
    0,
    ...world.sources.flatMap((id) =>
      readdirSync(join(world.spool, id)).map((name) => Number(/^owner\.(\d+)$/.exec(name)?.[1] ?? 0)),
    ),
  );
}

/** The bytes of all segments in a folder. Those deleted meanwhile count nothing. */
function folderBytes(folder) {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true })) {
    if (name.endsWith(".seg")) bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** A memory cgroup of either version; `undefined` where we may not make one. */
function memoryCgroup(bytes) {
  const name = `seclog-faults-${process.pid}`;
  for (const [root, limit] of [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"],
    ["/sys/fs/cgroup", "memory.max"],
  ]) {
    const folder = join(root, name);
    try {
      mkdirSync(folder);
      try {
        writeFileSync(join(folder, limit), `${bytes}`, { flag: "r+" });
        return folder;
      } catch {
        rmdirSync(folder);
      }
    } catch {
      // The other version, or none.
    }
  }
}
