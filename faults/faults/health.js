/**
 * Every reason why nothing is shipped: health() must report trouble within ten seconds, and report ok again once the
 * reason has gone.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { PostgresProxy, REFUSE } from "../proxy.js";

/** The time health() has to notice, in seconds. */
const LIMIT = 10;

/** Applications at a time: they mostly wait. */
const AT_ONCE = 4;

const NOBODY = 65534;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PRELOAD = new URL("../preloads/stalling-preload.mjs", import.meta.url).href;

/** An order in a file, which stalling-handler.js or stalling-preload.mjs obeys until the file is removed. */
const ordered = (order, { options = {}, how = {}, ...more } = {}) => ({
  name: order,
  ...more,
  begin: ({ control }) => {
    writeFileSync(control, order);
    return { options: { stalls: true, ...options }, how };
  },
  heal: ({ control }) => rmSync(control),
});

/** Runs the application as a user who is not root, so that permissions count. */
const asNobody = { wrap: ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] };

/** Ends the shipper's thread, once. */
async function endThread({ control }, app) {
  writeFileSync(control, "a call ends the thread");
  await app.until(({ failures }) => failures.SECLOG_THREAD > 0);
  rmSync(control);
}

/** Limits the processes and threads of the application's user. */
function limitThreads({ child }, count) {
  const [setpriv, ...options] = asNobody.wrap;
  execFileSync(setpriv, [...options, "prlimit", `--pid=${child.pid}`, `--nproc=${count}:`]);
}

const onMainThread = { handler: { onMainThread: true } };

/** A server behind a proxy that misbehaves as `act` says until the reason goes. */
const network = (name, act) => ({
  name,
  begin: async (place, world) => {
    place.proxy = await PostgresProxy.start(world.server.port);
    act(place.proxy);
    return { options: {}, how: { url: place.proxy.through(world.database.writerUrl) } };
  },
  heal: ({ proxy }) => {
    proxy.trap = undefined;
    proxy.resume();
  },
  end: ({ proxy }) => proxy.end(),
});

/** Makes the folder of a source that a dead process left. */
function leave(spool, { segment = "", mode = 0o700 } = {}) {
  const folder = join(spool, "01936d2f-5c00-7000-8000-0000000000ff");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "00000001.seg"), segment);
  chmodSync(folder, mode);
  // Old enough that no process can be about to put an owner's file into it.
  utimesSync(folder, 0, 0);
  return folder;
}

/**
 * - `begin(place, world)`: brings the reason about, and returns how the application is started
 * - `act(place, app)`: brings it about once the application runs
 * - `heal(place, app)`: removes the reason
 * - `short`: part of the short form
 */
const REASONS = [
  {
    name: "the thread's file is missing",
    short: true,
    begin(place) {
      const copy = join(place.folder, "copy");
      const modules = join(copy, "node_modules");
      mkdirSync(modules, { recursive: true });
      for (const name of readdirSync(join(ROOT, "node_modules")))
        if (name !== "seclog") symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
      for (const name of ["package.json", "dist"])
        cpSync(join(ROOT, "packages/seclog", name), join(modules, "seclog", name), { recursive: true });
      cpSync(join(ROOT, "faults"), join(copy, "faults"), { recursive: true });
      place.file = join(modules, "seclog/dist/seclog-worker.js");
      return { options: { stalls: true }, how: { program: join(copy, "faults/applications/app.js") } };
    },
    // Removed only afterwards: if it is missing at the start, no log is opened.
    act: async (place, app) => {
      renameSync(place.file, `${place.file}.away`);
      await endThread(place, app);
    },
    heal: ({ file }) => renameSync(`${file}.away`, file),
  },
  ordered("the module throws"),
  ordered("the module hangs"),
  ordered("createHandler() is missing"),
  ordered("createHandler() throws", { short: true }),
  ordered("createHandler() hangs", { short: true }),
  ordered("a preload throws", { how: { env: { NODE_OPTIONS: `--import=${PRELOAD}` } } }),
  ordered("a preload hangs", { how: { env: { NODE_OPTIONS: `--import=${PRELOAD}` } } }),
  ordered("a preload blocks", { how: { execArgv: ["--import", PRELOAD] } }),
  ordered("a call never settles", { short: true }),
  ordered("a call blocks the thread", { short: true }),
  ordered("a call ends the thread", { short: true }),
  ordered("a call takes all memory", { how: { execArgv: ["--max-old-space-size=80"] } }),
  ordered("the quarantine fails"),
  { ...ordered("a call never settles", { options: onMainThread }), name: "a call on the main thread never settles" },
  {
    ...ordered("a call never settles", { options: { ...onMainThread, spool: "memory" } }),
    name: "a call of a log in memory never settles",
    short: true,
  },
  {
    name: "no thread can be started",
    needsRoot: true,
    begin: () => ({ options: { stalls: true }, how: asNobody }),
    // The thread soon ends, and no other one can be started.
    act: async (place, app) => {
      limitThreads(app, 1);
      await endThread(place, app);
    },
    heal: (_, app) => limitThreads(app, 1_000),
  },
  {
    name: "the spool cannot be read",
    needsRoot: true,
    begin: () => ({ options: {}, how: asNobody }),
    act: ({ spool }) => {
      for (const name of readdirSync(spool)) chmodSync(join(spool, name), 0);
    },
    heal: ({ spool }) => {
      for (const name of readdirSync(spool)) chmodSync(join(spool, name), 0o700);
    },
  },
  {
    name: "another user's leftovers",
    needsRoot: true,
    short: true,
    begin: (place) => {
      place.left = leave(place.spool);
      return { options: {}, how: asNobody };
    },
    heal: ({ left }) => rmSync(left, { recursive: true }),
  },
  {
    name: "a newer program's leftovers",
    begin: (place) => {
      const header = Buffer.alloc(64);
      header.write("SECLOG\x7f\n", "latin1");
      header.writeUInt32LE(crc32(header.subarray(0, 60)), 60);
      place.left = leave(place.spool, { segment: header });
      return { options: {} };
    },
    heal: ({ left }) => rmSync(left, { recursive: true }),
  },
  network("PostgreSQL resets every connection", (proxy) => {
    proxy.trap = REFUSE;
  }),
  network("PostgreSQL is a black hole", (proxy) => proxy.stall()),
  {
    name: "nothing listens on PostgreSQL's port",
    begin: async (place, world) => {
      place.server = createServer((client) => {
        const server = connect(world.server.port, "127.0.0.1");
        for (const end of [client, server]) end.on("error", () => {});
        client.pipe(server).pipe(client);
      });
      // A port that was free a moment ago.
      await once(place.server.listen(0, "127.0.0.1"), "listening");
      place.port = place.server.address().port;
      await once(place.server.close(), "close");
      const url = new URL(world.database.writerUrl);
      url.port = String(place.port);
      return { options: {}, how: { url: url.href } };
    },
    heal: ({ server, port }) => once(server.listen(port, "127.0.0.1"), "listening"),
    end: ({ server }) => server.close(),
  },
];

const isRoot = () => process.getuid?.() === 0;

/** Runs one reason, and returns after how many seconds health() noticed it and its end. */
async function stallAndHeal(reason, index, world) {
  const folder = join(world.folder, `reason-${index}`);
  const place = { folder, spool: join(folder, "spool"), control: join(folder, "control") };
  mkdirSync(place.spool, { recursive: true });
  const { options, how = {} } = await reason.begin(place, world);
  if (reason.needsRoot) {
    // The application runs as another user, who needs access to its spool and to the ledger.
    for (const path of [world.folder, folder]) chmodSync(path, 0o711);
    chmodSync(join(world.folder, "pipe"), 0o622);
    chownSync(place.spool, NOBODY, NOBODY);
  }
  const start = { perTurn: 1, pause: 50, closeDeadline: 30_000, ...options };
  start.spool ??= { directory: place.spool };
  const env = { FAULT_CONTROL: place.control, ...how.env };
  const app = await world.startApp(start, { ...how, env });
  try {
    let since = performance.now();
    if (reason.act !== undefined) {
      await app.until(({ health }) => health?.handlers[0].shipped > 0);
      since = performance.now();
      await reason.act(place, app);
    }
    const { health } = await app.until((state) => state.health !== undefined && state.health.status !== "ok");
    const noticed = (performance.now() - since) / 1_000;
    const said = health.lastError?.message;
    since = performance.now();
    await reason.heal(place, app);
    await app.until((state) => state.health.status === "ok");
    const healed = (performance.now() - since) / 1_000;
    await app.close();
    return { name: reason.name, status: health.status, noticed, healed, said };
  } catch (error) {
    return { name: reason.name, failed: error.message };
  } finally {
    if (!app.ended) await app.kill();
    await reason.end?.(place);
  }
}

export const HEALTH_FAULTS = [
  {
    number: 36,
    name: "nothing is shipped, for each reason: health()",
    runs: { full: REASONS.length, short: REASONS.filter(({ short }) => short).length },
    async run({ short, world: create, finish, ran, expect, note }) {
      const world = await create();
      const chosen = REASONS.filter((reason) => (!short || reason.short) && (isRoot() || !reason.needsRoot));
      const queue = [...chosen.entries()];
      const work = async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          const [index, reason] = next;
          const { name, status, noticed, healed, said, failed } = await stallAndHeal(reason, index, world);
          ran();
          expect(failed === undefined, `${name}: ${failed}`);
          if (failed !== undefined) continue;
          expect(noticed <= LIMIT, `${name}: health() was ok for ${noticed.toFixed(1)} s`);
          expect(said !== undefined && said !== "", `${name}: health() did not say why it is ${status}`);
          note(
            `${name}: ${status} after ${noticed.toFixed(1)} s, ok ${healed.toFixed(1)} s after the reason had gone: “${said}”`,
          );
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      const skipped = REASONS.length - chosen.length;
      if (!short && skipped > 0) note(`${skipped} reasons were skipped: they need root, to run as another user`);
      await finish(world);
    },
  },
];
