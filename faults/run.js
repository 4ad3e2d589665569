#!/usr/bin/env node
/**
 * `npm run faults`: every fault of the list, each in a world of its own, and one table of what became of the events.
 *
 *     npm run faults                      all faults and negative controls, at full count: most of an hour
 *     npm run faults -- --short           the same faults with few runs: a few minutes (CI)
 *     npm run faults -- --only 1,5-7,C1   some of them, see USAGE below
 *     npm run faults -- --runs 20         another count
 *     npm run faults -- --jobs 2          two at a time: much of a run is waiting
 *     npm run faults -- --json            for programs: one JSON object, progress on standard error
 *     npm run faults -- --write           writes the table of all faults to docs/guarantees.md, if none failed
 *
 * Exit code 0: every promise held and every negative control was red. 1: otherwise. 2: wrong arguments.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { FAULTS } from "./faults/all.js";
import { makeKey, sealAll, verify } from "./faults/seal.js";
import { Server, World } from "./world.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const GUARANTEES = join(ROOT, "docs/guarantees.md");
/** Columns that must be zero for every fault. In a negative control, at least one of those it names must not be. */
const ZEROS = ["lost", "twice", "unexpected", "holes"];
const SUMS = ["tried", "acknowledged", "stored", ...ZEROS, "quarantined", "recovered"];
const COLUMNS = {
  tried: "tried",
  acknowledged: "acked",
  stored: "stored",
  lost: "lost",
  twice: "twice",
  unexpected: "unexp.",
  holes: "holes",
  quarantined: "quar.",
  recovered: "recov.",
  stall: "stall ms",
  drain: "drain ms",
};

const HEAD = ["#", "fault", "runs", ...Object.values(COLUMNS)];
/** Columns that a narrow terminal drops, in this order. The zeros always stay. */
const SPARE = ["drain ms", "stall ms", "recov.", "tried", "quar.", "runs", "stored", "acked"];
/** The part of a fault's name that identifies it. */
const SHORTEST_NAME = 24;

const USAGE = `npm run faults -- [--only 1,5-7,C1] [--runs N] [--jobs N] [--short] [--json] [--write]
  --only   4 is that alone, 20 is 20a, 20b and so on, since there are only those; a range has all: 3-4 is 3, 3b, 4, 4b
  --runs   14, 19, 20d and 31 have a count of their own; 3, 16, 21, 23 and 26 turn N into another one
  --jobs   1 to 8, 1 if not given; faults marked "alone" still run alone
  --write  only for all faults at full count, one at a time`;

const options = readArguments();
/** Read now: the run takes long enough for another commit to be made. */
const commit = presentCommit();
const chosen = FAULTS.filter(({ number }) => options.only === undefined || options.only.has(String(number)));
const isTerminal = process.stderr.isTTY;
const progress = (text) => process.stderr.write(text);
/** The faults that are running and their progress: redrawn as the terminal's last line. */
const running = new Map();
const showRunning = () =>
  isTerminal && progress(`\r\x1b[K${[...running.values()].join(" · ").slice(0, process.stderr.columns - 1)}`);
/** One PostgreSQL per parallel job: a fault that changes a role's password changes it for the whole server. */
const lanes = Array.from({ length: options.jobs }, () => ({ server: undefined }));
/** The key that seals what the faults leave. */
let keyFolder;
let key;
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
process.once("SIGTERM", () => interrupted.abort());

progress(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}\n`);
const done = new Map();
try {
  const alone = chosen.filter((fault) => fault.alone || lanes.length === 1);
  const together = chosen.filter((fault) => !alone.includes(fault));
  const runAll = async (queue, lane) => {
    for (let fault = queue.shift(); fault !== undefined && !interrupted.signal.aborted; fault = queue.shift())
      done.set(fault, await runFault(fault, lane));
  };
  await runAll(alone, lanes[0]);
  await Promise.all(lanes.map((lane) => runAll(together, lane)));
} finally {
  for (const { server } of lanes) await server?.end();
  if (keyFolder !== undefined) rmSync(keyFolder, { recursive: true });
}
const results = chosen.flatMap((fault) => done.get(fault) ?? []);
const failed = results.filter(({ problems }) => problems.length > 0);
const skipped = results.filter((result) => result.skipped !== undefined);
if (options.json) console.log(JSON.stringify({ node: process.version, short: options.short, results }, null, 2));
else console.log(`\n${table(results, process.stdout.isTTY ? process.stdout.columns : undefined)}`);
const unkept = options.write ? whyNotKept() : undefined;
if (options.write && unkept === undefined) writeGuarantees();
if (unkept !== undefined) progress(`\n${unkept}: docs/guarantees.md is unchanged\n`);
const list = (title, lines) =>
  lines.length > 0 && progress(`\n${title}:\n${lines.map((line) => `  ${line}`).join("\n")}\n`);
list(
  "Failed",
  failed.flatMap(({ number, name, problems }) => problems.map((problem) => `${number} ${name}: ${problem}`)),
);
list(
  "Skipped",
  skipped.map(({ number, name, skipped: why }) => `${number} ${name}: ${why}`),
);
const later = results.filter((result) => result.later !== undefined);
const passed = results.length - failed.length - skipped.length - later.length;
progress(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped\n`);
process.exitCode = failed.length > 0 || interrupted.signal.aborted || unkept !== undefined ? 1 : 0;

/** Runs one fault in worlds of its own, and adds up the checker's verdicts. */
async function runFault(fault, lane) {
  const { number, name } = fault;
  const label = `${String(number).padStart(3)} ${name}`;
  const runs = options.runs ?? (options.short ? fault.runs?.short : fault.runs?.full);
  const result = {
    number,
    name,
    control: fault.control !== undefined,
    runs: 0,
    problems: [],
    notes: [],
    seconds: 0,
    stall: undefined,
    drain: undefined,
  };
  for (const column of SUMS) result[column] = 0;
  result.later = fault.comesWith;
  const start = performance.now();
  try {
    if (result.later === undefined) result.skipped = await fault.needs?.();
  } catch (error) {
    result.problems.push(`whether it can run: ${error.stack ?? error}`);
    return result;
  }
  if (result.skipped === undefined && result.later === undefined) {
    running.set(fault, label);
    if (!isTerminal) progress(`${label} …\n`);
    showRunning();
    const worlds = new Set();
    let own;
    const context = {
      runs,
      short: options.short,
      signal: interrupted.signal,
      /**
       * A world on the run's PostgreSQL, or on one of the fault's own that may be killed (`ownServer`, with settings).
       */
      async world({ ownServer, ...more } = {}) {
        if (ownServer !== undefined) own ??= await Server.start(ownServer === true ? {} : ownServer);
        else lane.server ??= await Server.start();
        const world = await World.create({ server: own ?? lane.server, ...more });
        worlds.add(world);
        return world;
      },
      /**
       * Checks a world and removes it. Every fault calls it once everything that can be shipped was shipped. The
       * options are the checker's: what the fault damaged on purpose, what a cut may have torn, how far it set the
       * clock back, which rows to compare; and `proven` when the fault has sealed and verified everything itself.
       */
      async finish(world, { damaged, torn, setBack, onRecord, select, proven = false } = {}) {
        const verdict = await world.check({ damaged, torn, setBack, onRecord, select });
        if (!proven && fault.control === undefined) result.problems.push(...(await proofProblems(world)));
        for (const column of SUMS) result[column] += verdict[column];
        if (world.stall > 0) result.stall = Math.max(result.stall ?? 0, world.stall);
        if (world.drained > 0) result.drain = Math.max(result.drain ?? 0, world.drained);
        worlds.delete(world);
        await world.end();
        return verdict;
      },
      /** Counts a finished run, for the progress line and the table. */
      ran(count = 1) {
        result.runs += count;
        running.set(fault, `${label} ${result.runs}/${runs}`);
        showRunning();
        if (interrupted.signal.aborted) throw new Error("interrupted");
      },
      /** A promise beyond the zeros. */
      expect(holds, sentence) {
        if (!holds) result.problems.push(sentence);
      },
      /** A figure or a fact for docs/guarantees.md. */
      note(sentence) {
        result.notes.push(sentence);
      },
    };
    try {
      await fault.run(context);
      if (result.runs === 0) result.problems.push("nothing ran");
      if (result.tried === 0) result.problems.push("nothing was tried");
    } catch (error) {
      result.problems.push(error.stack ?? String(error));
    }
    // Attempt every end: one that fails must not leave the others running.
    for (const { reason } of await Promise.allSettled([...worlds].map((world) => world.end())))
      if (reason !== undefined) result.problems.push(`a world did not end: ${reason}`);
    await own?.end().catch((error) => result.problems.push(`its PostgreSQL did not end: ${error}`));
    if (fault.control === undefined) {
      for (const column of ZEROS) if (result[column] !== 0) result.problems.push(`${column} is ${result[column]}`);
    } else if (result.problems.length === 0 && !fault.control.some((column) => result[column] > 0)) {
      result.problems.push(`the checker found nothing: ${fault.control.join(" and ")} should not be 0`);
    }
    result.seconds = (performance.now() - start) / 1000;
    const outcome = result.problems.length > 0 ? "FAILED" : fault.control === undefined ? "ok" : "red, as it must be";
    running.delete(fault);
    progress(`${isTerminal ? "\r\x1b[K" : ""}${label}: ${outcome}, ${result.seconds.toFixed(0)} s\n`);
    showRunning();
  }
  return result;
}

/**
 * Seals everything stored and verifies it as an auditor would: each row has its leaf, and each number a row. Fault 30
 * shows that this fails when a row is changed or deleted.
 */
async function proofProblems(world) {
  if (key === undefined) {
    keyFolder = mkdtempSync(join(tmpdir(), "seclog-faults-key-"));
    key = makeKey({ folder: keyFolder });
  }
  for (const [what, prove] of Object.entries({ seal: sealAll, verify })) {
    const { code, output } = await prove(world, key);
    if (code !== 0) return [`seclog ${what} ended with ${code}: ${output}`];
  }
  return [];
}

/** The cells of a row; three for a fault that did not run, the last of them a sentence. */
function cells(result) {
  const whole = (value) => (value === undefined ? "–" : String(Math.round(value)));
  if (result.later !== undefined) return [`${result.number}`, result.name, `comes with ${result.later}`];
  if (result.skipped !== undefined) return [`${result.number}`, result.name, `skipped: ${result.skipped}`];
  // Zeros prove nothing when nothing was checked.
  const said = result.tried > 0 ? result : {};
  return [
    `${result.number}`,
    result.problems.length > 0 ? `FAILED: ${result.name}` : result.name,
    whole(result.runs),
    ...Object.keys(COLUMNS).map((column) => whole(said[column])),
  ];
}

/** As wide as needed, or as the terminal: `--json` has everything. */
function table(rows, width = Number.POSITIVE_INFINITY) {
  const lines = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, column) =>
    Math.max(...lines.map((line) => (line.length === 3 && column === 2 ? 0 : (line[column] ?? "").length))),
  );
  const shown = new Set(HEAD.keys());
  const total = () => [...shown].reduce((sum, column) => sum + widths[column] + 2, -2);
  const spare = SPARE.map((name) => HEAD.indexOf(name));
  while (total() - widths[1] + Math.min(widths[1], SHORTEST_NAME) > width && spare.length > 0)
    shown.delete(spare.shift());
  widths[1] = Math.max(Math.min(widths[1], SHORTEST_NAME), Math.min(widths[1], widths[1] - total() + width));
  const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
  const text = lines.map((line) => {
    const [number, name, ...more] = line;
    const start = `${number.padStart(widths[0])}  ${cut(name, widths[1]).padEnd(widths[1])}`;
    if (more.length === 1) return cut(`${start}  ${more[0]}`, width);
    return [start, ...more.flatMap((cell, at) => (shown.has(at + 2) ? [cell.padStart(widths[at + 2])] : []))].join(
      "  ",
    );
  });
  return text.join("\n");
}

/** Why the table must not be written; `undefined` when it may. Readers take what is written for proved. */
function whyNotKept() {
  if (interrupted.signal.aborted) return "The run was interrupted";
  // Including faults in which nothing ran, or nothing was tried.
  if (failed.length > 0) return `${failed.map(({ number }) => number).join(", ")} failed`;
  return undefined;
}

/** Replaces the text between the markers of docs/guarantees.md. */
function writeGuarantees() {
  const [begin, end] = ["<!-- faults -->", "<!-- /faults -->"];
  const line = (list) => `| ${list.join(" | ")} |`;
  const rows = results.map((result) => line([...cells(result), ...Array(HEAD.length).fill("")].slice(0, HEAD.length)));
  const day = new Date().toISOString().slice(0, 10);
  const what = `Made by \`npm run faults -- --write\` on ${day}${commit}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}.`;
  const notes = results.flatMap(({ number, notes: list }) => list.map((note) => `- ${number}: ${note}`));
  const text = readFileSync(GUARANTEES, "utf8");
  const [before, after] = [text.slice(0, text.indexOf(begin) + begin.length), text.slice(text.indexOf(end))];
  const align = line(HEAD.map((_, column) => (column === 1 ? "---" : "--:")));
  writeFileSync(
    GUARANTEES,
    `${before}\n${what}\n\n${[line(HEAD), align, ...rows].join("\n")}\n\n${notes.join("\n")}\n${after}`,
  );
}

/** The commit of the faults, and whether the tree has changes beyond it; empty without git. */
function presentCommit() {
  const git = (...args) => execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: "pipe" }).trim();
  try {
    // The file that the run itself writes does not count as a change.
    const changes = git("status", "--porcelain", "--", ".", ":!docs/guarantees.md");
    return `, commit ${git("rev-parse", "--short", "HEAD")}${changes === "" ? "" : " with changes"}`;
  } catch {
    return "";
  }
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        runs: { type: "string" },
        jobs: { type: "string", default: "1" },
        short: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
      },
    });
    const { only, runs, jobs, short, write } = values;
    if (runs !== undefined && !/^[1-9]\d{0,5}$/.test(runs)) throw new Error(`--runs ${runs} is not a count`);
    if (!/^[1-8]$/.test(jobs)) throw new Error(`--jobs ${jobs} is not between 1 and 8`);
    // Checked now: after half an hour it would be too late to learn that nothing will be written.
    if (write && (only !== undefined || runs !== undefined || jobs !== "1" || short))
      throw new Error("--write records each fault run alone, at full count: leave the other options out");
    const wanted = only === undefined ? undefined : numbers(only);
    return { ...values, runs: runs && Number(runs), jobs: Number(jobs), only: wanted };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

/** The faults that `1,5-7,C1` names. */
function numbers(text) {
  const known = FAULTS.map(({ number }) => String(number));
  /** The 20 of 20a. */
  const family = (number) => number.replace(/(?<=^\d+)[a-z]$/, "");
  const wanted = new Set();
  for (const part of text.split(",")) {
    const [, from, to] = /^(\d+)-(\d+)$/.exec(part) ?? [];
    if (Number(from) > Number(to)) throw new Error(`--only ${part}: a range must ascend`);
    const named = (number) => {
      if (from === undefined) return known.includes(part) ? number === part : family(number) === part;
      return Number(family(number)) >= Number(from) && Number(family(number)) <= Number(to);
    };
    const found = known.filter(named);
    if (found.length === 0) throw new Error(`--only ${JSON.stringify(part)}: no such fault`);
    for (const number of found) wanted.add(number);
  }
  return wanted;
}
