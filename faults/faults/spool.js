/** Spools whose bytes are not those that were written. */
import { mkdirSync, readdirSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Lives } from "../lives.js";
import { subfolder } from "../world.js";

const NO_CHECKSUM = new URL("../preloads/no-checksum.js", import.meta.url).href;
const HEADER_BYTES = 64;
const FRAME_BYTES = 24;
/** Folders made. */
let last = 0;
/** Events of a life, between the log's own events at its start and stop. */
const COUNT = 2;
/** Thousands of sources take minutes to drain, however small each is. In milliseconds. */
const DRAIN_MS = 600_000;

export const SPOOL_FAULTS = [
  {
    number: 12,
    name: "torn tail: the last bytes are missing, every number of them",
    runs: { full: 10_000, short: 12 },
    async run({ runs, world: create, finish, ran, expect }) {
      const world = await create();
      const { files } = await spools(world, 1);
      const size = readFileSync(files[0].segment).length - HEADER_BYTES;
      const step = Math.max(1, size / runs);
      // These lives acknowledge nothing: a disk that loses what it has synced is another fault.
      const torn = await spools(world, Math.floor(size / step), { unacknowledged: true });
      for (const [index, file] of torn.files.entries()) {
        const bytes = readFileSync(file.segment);
        file.left = Math.max(0, bytes.length - 1 - Math.floor(index * step));
        file.whole = framesOf(bytes).filter(({ end }) => end <= file.left).length;
        truncateSync(file.segment, file.left);
      }
      await world.drain({ deadline: DRAIN_MS });
      expect(world.sources.length === 0, `${world.sources.length} sources are left`);
      const found = await stored(world);
      for (const { source, left, whole } of torn.files) {
        const { rows = [], bad = [] } = found.get(source) ?? {};
        expect(
          rows.length === whole && rows.every((seq, index) => seq === index + 1) && bad.length === 0,
          `cut to ${left} bytes: ${whole} are whole, ${rows} were stored, ${bad} are in quarantine`,
        );
        ran();
      }
      await finish(world);
    },
  },
  {
    number: 13,
    name: "each byte of a spool flipped in turn",
    runs: { full: 10_000, short: 20 },
    async run(context) {
      const { expect, ran, finish } = context;
      const { world, files } = await flipped(context);
      const { quarantined } = await world.drain({ deadline: DRAIN_MS });
      expect(world.sources.length === 0, `${world.sources.length} sources are left`);
      const found = await stored(world);
      let inQuarantine = 0;
      for (const { source, at, count, hit } of files) {
        const { rows = [], bad = [] } = found.get(source) ?? {};
        const wanted = Array.from({ length: count }, (_, index) => index + 1).filter((seq) => seq !== hit);
        const right = `${rows}` === `${wanted}` && `${bad}` === `${hit || ""}`;
        expect(right, `byte ${at} flipped, of event ${hit}: ${rows} stored, ${bad} in quarantine`);
        inQuarantine += bad.length;
        ran();
      }
      expect(quarantined === inQuarantine, `${inQuarantine} are in quarantine, and drainSpool counted ${quarantined}`);
      await finish(world, { damaged: files.map(({ source, hit, key }) => ({ place: `${source}/${hit}`, key })) });
    },
  },
  {
    number: "C3",
    name: "control: no checksum",
    control: ["unexpected"],
    runs: { full: 9, short: 9 },
    async run(context) {
      const execArgv = ["--import", NO_CHECKSUM];
      const { world, files } = await flipped(context, { execArgv, rangesOf: inAnEvent });
      const lives = await Lives.start(world, { execArgv });
      await lives.call("drain", { directory: world.spool, url: world.database.writerUrl, deadline: 60_000 });
      await lives.end();
      context.ran(files.length);
      await context.finish(world);
    },
  },
];

/**
 * Spools of dead lives, with another byte flipped in each.
 *
 * @param rangesOf returns where, in the files of one life; by default everywhere
 */
async function flipped({ runs, world: create }, { execArgv, rangesOf = everywhere } = {}) {
  const world = await create();
  const probe = await spools(world, 1, {}, execArgv);
  const places = (file) =>
    rangesOf(file).flatMap(({ name, from, to }) =>
      Array.from({ length: to - from }, (_, n) => ({ name, at: from + n })),
    );
  const total = places(probe.files[0]).length;
  const step = Math.max(1, total / runs);
  const { files } = await spools(world, Math.floor(total / step), {}, execArgv);
  for (const [index, file] of files.entries()) {
    const all = places(file);
    const { name, at } = all[Math.min(Math.floor(index * step), all.length - 1)];
    const bytes = readFileSync(name);
    const frames = framesOf(readFileSync(file.segment));
    file.count = frames.length;
    file.hit = name === file.segment ? frames.findIndex(({ from, end }) => at >= from && at < end) + 1 : 0;
    // The log's own events have none.
    if (file.hit > 0) file.key = keyOf(readFileSync(file.segment), frames[file.hit - 1]);
    file.at = `${at} of ${name.split("/").at(-1)}`;
    bytes[at] ^= 1 << (index % 8);
    writeFileSync(name, bytes);
    // A source with an unreadable owner's file is left alone for a while; these have been dead for long.
    for (const each of file.names) utimesSync(each, 0, 0);
  }
  return { world, files };
}

/** The segment, the owner's file and the handler's cursor. */
function everywhere({ names }) {
  return names.map((name) => ({ name, from: 0, to: readFileSync(name).length }));
}

/** The first event's path: another path makes as good an event, but not the recorded one. */
function inAnEvent({ segment }) {
  const from = readFileSync(segment).indexOf("/orders/");
  return [{ name: segment, from, to: from + "/orders/1".length }];
}

/** Makes spools with a few events each, of two processes that are then killed, and moves them all into the world's. */
async function spools(world, count, options = {}, execArgv = []) {
  mkdirSync(world.spool, { recursive: true, mode: 0o700 });
  const made = [];
  await Promise.all(
    [0, 1].map(async (part) => {
      const lives = await Lives.start(world, { execArgv });
      for (let n = part; n < count; n += 2) {
        // Each first has a folder of its own, or the next log would ship it with its own.
        const directory = subfolder(world, `made-${++last}`);
        await lives.call("open", {
          ...options,
          life: directory.split("-").at(-1),
          directory,
          url: null,
          count: COUNT,
          close: 0,
        });
        made.push(directory);
      }
      await lives.end();
    }),
  );
  const files = made.map((folder) => {
    const [source] = readdirSync(folder);
    const directory = join(world.spool, source);
    renameSync(join(folder, source), directory);
    const names = readdirSync(directory).map((name) => join(directory, name));
    const segment = names.find((name) => name.endsWith(".seg"));
    return { source, segment, names: [segment, ...names.filter((name) => name !== segment)] };
  });
  return { files };
}

/** The key of the event in a sound frame; `undefined` for the log's own events. */
export function keyOf(segment, { from, end }) {
  const [, personal] = segment.toString("utf8", from + FRAME_BYTES, end).split("\n");
  return JSON.parse(personal).data?.key;
}

/** The positions of a sound segment's frames. */
function framesOf(bytes) {
  const frames = [];
  for (let from = HEADER_BYTES; from < bytes.length; from = frames.at(-1).end)
    frames.push({ from, end: from + FRAME_BYTES + bytes.readUInt32LE(from + 12) });
  return frames;
}

/** The numbers of each source that are stored, and those in quarantine. */
async function stored(world) {
  const rows = await world.query(
    `SELECT s.id, (SELECT array_agg(seq::int ORDER BY seq) FROM security_event_log e WHERE e.source_id = s.id) AS rows,
       (SELECT array_agg(seq::int ORDER BY seq) FROM security_event_quarantine q WHERE q.source_id = s.id) AS bad
     FROM security_event_source s`,
  );
  return new Map(rows.map(({ id, rows: seqs, bad }) => [id, { rows: seqs ?? [], bad: bad ?? [] }]));
}
