/**
 * Things other than files in the places of a spool's files: an attacker who may write there chooses what a name stands
 * for.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NOWHERE } from "../world.js";

const SECRET = "what must not be read or written through a spool\n".repeat(10);

export const STRANGE_FAULTS = [
  {
    number: "34a",
    name: "symbolic links in the places of a spool's files and folders",
    runs: { full: 5, short: 5 },
    async run(context) {
      for (let run = 0; run < context.runs; run++) await replaced(context, run, PLACES[run % PLACES.length], "link");
    },
  },
  {
    number: "34b",
    name: "a FIFO, a folder or a socket in the places of a spool's files",
    runs: { full: 12, short: 4 },
    async run(context) {
      const things = ["FIFO", "folder", "socket"];
      const places = PLACES.filter((place) => place !== "folder");
      for (let run = 0; run < context.runs; run++) {
        await replaced(context, run, places[run % places.length], things[run % things.length]);
      }
      await underALivingOne(context);
    },
  },
];

const PLACES = ["cursor.postgres", "owner.1", "00000001.seg", "quarantine.ndjson", "folder"];

/**
 * Puts a thing in the place of a file of one of two dead sources. The other source is shipped; the first, once it is
 * restored.
 */
async function replaced({ world: create, finish, expect, ran }, run, place, thing) {
  const world = await create();
  for (const _ of [1, 2]) {
    const dead = await world.startApp({ count: 50, perTurn: 10 }, { url: NOWHERE });
    await dead.done();
    await dead.kill();
  }
  const [id, sound] = world.sources;
  const folder = join(world.spool, id);
  const path = place === "folder" ? folder : join(place === "quarantine.ndjson" ? world.spool : folder, place);
  const aside = join(world.folder, `aside-${run}`);
  const target = join(world.folder, `secret-${run}`);
  if (existsSync(path)) renameSync(path, aside);
  put(thing, path, target, place === "folder");
  const before = look(target);

  const ship = world.startProgram(["ship", "--spool", world.spool]);
  // Whatever the thing is, the program reacts to a signal.
  const ended = await Promise.race([ship.exited, sleep(20_000, "late", { ref: false })]);
  expect(ended !== "late", `${thing} as ${place}: seclog ship did not end`);
  if (ended === "late") {
    ship.child.kill("SIGTERM");
    await ship.exited;
  }
  // The quarantine file is only opened when a record goes into it, and none does here.
  if (place !== "quarantine.ndjson") {
    expect(
      ended !== 0 && ship.output.includes(path),
      `${thing} as ${place}: seclog ship (${ended}) said ${ship.output}`,
    );
    expect(!world.sources.includes(sound), `${thing} as ${place}: the other source was not shipped`);
  }
  expect(look(target) === before, `${thing} as ${place}: the link's target was touched`);

  rmSync(path, { recursive: true, force: true });
  if (existsSync(aside)) renameSync(aside, path);
  await world.drain();
  expect(world.sources.length === 0, `${thing} as ${place}: ${world.sources.length} sources are left`);
  await finish(world);
  ran();
}

/** The application continues, reports what is wrong, and closes in time. */
async function underALivingOne({ world: create, finish, expect, ran, note }) {
  const world = await create();
  const app = await world.startApp({ pause: 5, closeDeadline: 2_000 });
  await app.until(({ acknowledged }) => acknowledged > 100);
  const path = join(world.spool, world.sources[0], "cursor.postgres");
  rmSync(path);
  put("FIFO", path);
  const { acknowledged } = await app.until(({ failures }) => failures.SECLOG_SPOOL_DIRECTORY > 0);
  await app.until((state) => state.acknowledged > acknowledged + 100);
  const begun = performance.now();
  const { closed } = await app.close();
  const took = performance.now() - begun;
  // On top comes the time that the shipper's thread may take to stop, and a margin for a busy machine.
  expect(closed !== undefined && took < 15_000, `close() took ${Math.round(took)} ms with a FIFO for a cursor`);
  note(`close() took ${Math.round(took)} ms with a FIFO for a cursor`);
  rmSync(path, { force: true });
  await world.drain();
  expect(world.sources.length === 0, `${world.sources.length} sources are left`);
  await finish(world);
  ran();
}

function put(thing, path, target, isFolder = false) {
  if (thing === "FIFO") execFileSync("mkfifo", [path]);
  else if (thing === "folder") mkdirSync(path);
  else if (thing === "socket") {
    const script =
      'require("net").createServer().listen("s", () => { fs.renameSync("s", process.argv[1]); process.exit(); })';
    execFileSync(process.execPath, ["-e", script, path], { cwd: join(path, "..") });
  } else {
    if (isFolder) mkdirSync(target);
    writeFileSync(isFolder ? join(target, "precious") : target, SECRET);
    symlinkSync(target, path);
  }
}

/** Everything that could change about a link's target. */
function look(target) {
  if (!existsSync(target)) return "";
  const stat = lstatSync(target);
  const text = stat.isDirectory() ? readFileSync(join(target, "precious"), "utf8") : readFileSync(target, "utf8");
  return `${stat.mode} ${stat.mtimeMs} ${text}`;
}
