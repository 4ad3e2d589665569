import { type Command, Option } from "commander";
import { SeclogError } from "seclog";
import { connectionUrl, requireUrl, URL_VARIABLES } from "../../config/environment.ts";
import { type Database, queriesOf } from "../../database/reader.ts";
import { storedCheckpoint } from "../../integrity/stored-tree.ts";
import { countEvents } from "../../search/count-events.ts";
import { exportTo, exportToFolder } from "../../search/export/export-events.ts";
import { EXPORT_FORMATS } from "../../search/export/export-formats.ts";
import {
  type ExportManifest,
  type ExportRequest,
  type ExportSplit,
  manifestHash,
  newExportFolder,
  newManifest,
  readManifest,
} from "../../search/export/manifest.ts";
import { type ExportRecord, recordExport } from "../../search/export/record-export.ts";
import { type EventFilter, type FilterOptions, filterText } from "../../search/filter.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { counted, quoted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { addFilterOptions, addTimeOptions, parseSelection } from "../options/filter.ts";

interface ExportCommandOptions extends FilterOptions {
  readonly format: string;
  readonly out: string;
  readonly gzip?: true;
  readonly split: string;
  readonly resume?: true;
  readonly unrecorded?: true;
  readonly json?: true;
}

const HELP = `
The folder gets the files, readable by its owner alone, and manifest.json: what
was asked for, the rows, the size and the SHA-256 of each file, and the log's
newest checkpoint. An export that was interrupted continues after its last
whole file with --resume. With --out - the events go to standard output.

Connects with SECLOG_READER_URL. The export is itself an event, log_export, at
its start and with its result: it is stored with SECLOG_DATABASE_URL.`;

/** Beyond this, a count that fails or takes longer only costs the remaining time. */
const COUNT_TIMEOUT_MS = 10_000;

/** `seclog export`. */
export function addExport(command: Command): void {
  addFilterOptions(addTimeOptions(command))
    .addOption(
      new Option("--format <format>", "how events are written").choices(Object.keys(EXPORT_FORMATS)).default("ndjson"),
    )
    .requiredOption("--out <folder>", "a new folder for the files; - for standard output")
    .option("--gzip", "compress the files")
    .option(
      "--split <size|hour|day|month>",
      "begin a new file at this size before compression, such as 500MB, or when the time's hour, day or month changes",
      "256MB",
    )
    .option("--resume", "continue the export in the folder, with what it was asked for")
    .option("--unrecorded", "export even if the log cannot record it")
    .option("--json", "print the result as one JSON document")
    .addHelpText("after", HELP)
    .action(exportEvents);
}

async function exportEvents(words: readonly string[], options: ExportCommandOptions, command: Command): Promise<void> {
  const signal = interruption();
  const readerUrl = requireUrl("reader");
  const recorder = recorderOf(options);
  if (options.out === "-") {
    if (options.resume || options.gzip)
      throw new SeclogError("SECLOG_CONFIG", "--out - takes neither --resume nor --gzip: pipe it through gzip");
    return await exportToOutput({ words, options, command, signal, readerUrl, recorder });
  }
  const before = options.resume ? readManifest(options.out) : undefined;
  if (before?.finished_at) throw new SeclogError("SECLOG_CONFIG", `--resume: the export in ${options.out} is complete`);
  if (before !== undefined) refuseOther(words, command);
  const request = before?.request ?? requestOf(words, options);
  const filter = filterOf(request, command);
  await withReader(signal, COUNT_TIMEOUT_MS, async (database) => {
    if (before === undefined) newExportFolder(options.out);
    const manifest =
      before ?? newManifest(request, filterText(filter), (await storedCheckpoint(queriesOf(database)))?.note ?? null);
    const common = { format: request.format, filter: manifest.filter };
    await recorder({ ...common, reason: before === undefined ? "started" : "resumed" });
    const progress = new Bar(await total(database, filter), manifest.rows);
    let done: ExportManifest;
    try {
      const work = exportToFolder(
        { url: readerUrl, database, filter },
        { folder: options.out, manifest, signal, onProgress: (rows) => progress.show(rows) },
      );
      done = await unlessInterrupted(signal, work);
    } finally {
      progress.clear();
    }
    await recorder({ ...common, reason: "finished", rows: done.rows, sha256: manifestHash(done) });
    const bytes = done.parts.reduce((sum, part) => sum + part.bytes, 0);
    if (options.json) {
      await print(
        jsonLine({ folder: options.out, rows: done.rows, files: done.parts.length, bytes, sha256: manifestHash(done) }),
      );
    } else {
      await print(
        `${counted(done.rows, "event")} in ${counted(done.parts.length, "file")} (${size(bytes)}): ${options.out}\n`,
      );
    }
  });
}

interface Output {
  readonly words: readonly string[];
  readonly options: ExportCommandOptions;
  readonly command: Command;
  readonly signal: AbortSignal;
  readonly readerUrl: string;
  readonly recorder: (record: ExportRecord) => Promise<void>;
}

async function exportToOutput({ words, options, command, signal, readerUrl, recorder }: Output): Promise<void> {
  const request = requestOf(words, options);
  const filter = filterOf(request, command);
  const common = { format: request.format, filter: filterText(filter) };
  await withReader(signal, COUNT_TIMEOUT_MS, async (database) => {
    await recorder({ ...common, reason: "started" });
    const rows = await unlessInterrupted(
      signal,
      exportTo({ url: readerUrl, database, filter }, request.format, print, signal),
    );
    await recorder({ ...common, reason: "finished", rows });
  });
}

/** How the export is recorded. @throws SeclogError `SECLOG_CONFIG` without the writer's URL, unless that is wanted */
function recorderOf({ unrecorded }: ExportCommandOptions): (record: ExportRecord) => Promise<void> {
  const url = connectionUrl("writer");
  if (url !== undefined) return (record) => recordExport(url, record);
  if (!unrecorded) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${URL_VARIABLES.writer} is not set, so the log cannot record that it is exported: set it, or use --unrecorded`,
    );
  }
  notice(`${URL_VARIABLES.writer} is not set: this export is not recorded in the log.`);
  return async () => {};
}

function requestOf(words: readonly string[], options: ExportCommandOptions): ExportRequest {
  const {
    format,
    gzip = false,
    split,
    out: _out,
    resume: _resume,
    unrecorded: _unrecorded,
    json: _json,
    ...filter
  } = options;
  return { format, gzip, split: splitOf(split), query: words.join(" "), options: filter, at: new Date().toISOString() };
}

/** Up to the moment of the request, unless it says otherwise: what arrives meanwhile does not belong to it. */
function filterOf({ query, options, at }: ExportRequest, command: Command): EventFilter {
  const now = new Date(at);
  const filter = parseSelection(query === "" ? [] : [query], options, command, now);
  return { ...filter, until: filter.until ?? now };
}

/** Refuses what would be ignored: a resumed export continues with its own request. */
function refuseOther(words: readonly string[], command: Command): void {
  const own = new Set(["out", "resume", "unrecorded", "json"]);
  const other = Object.keys(command.opts()).find(
    (name) => !own.has(name) && command.getOptionValueSource(name) === "cli",
  );
  if (other === undefined && words.length === 0) return;
  const what = other === undefined ? "a query" : `--${other}`;
  throw new SeclogError("SECLOG_CONFIG", `--resume continues with what the export was asked for: leave out ${what}`);
}

const UNITS: { readonly [unit: string]: number } = { kB: 1e3, MB: 1e6, GB: 1e9 };

function splitOf(text: string): ExportSplit {
  if (text === "hour" || text === "day" || text === "month") return { time: text };
  const [, count, unit = ""] = /^(\d{1,9})(kB|MB|GB)$/.exec(text) ?? [];
  const bytes = Number(count) * (UNITS[unit] ?? Number.NaN);
  if (bytes > 0) return { bytes };
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--split ${quoted(text)} is neither a size, such as 500MB, nor hour, day or month`,
  );
}

/** How many events match, to tell the remaining time; `undefined` if that takes too long to find out. */
async function total(database: Database, filter: EventFilter): Promise<number | undefined> {
  if (process.stderr.isTTY !== true) return undefined;
  return await countEvents(database, filter).then(
    ({ events }) => Number(events),
    () => undefined,
  );
}

/** `412,000 of 1,000,000 events (41%), 61,000 a second, 10 s left`. */
class Bar {
  readonly #bar: Progress = new Progress();
  readonly #total: number | undefined;
  readonly #before: number;
  readonly #start: number = performance.now();
  #shown = 0;

  constructor(total: number | undefined, before: number) {
    this.#total = total;
    this.#before = before;
  }

  show(rows: number): void {
    const now = performance.now();
    if (now - this.#shown < 200) return;
    this.#shown = now;
    const rate = ((rows - this.#before) / (now - this.#start)) * 1000;
    const whole = (value: number): string => Math.round(value).toLocaleString("en");
    const known = this.#total === undefined ? undefined : Math.max(this.#total, rows);
    const of = known === undefined ? "" : ` of ${whole(known)}`;
    const share = known === undefined ? "" : ` (${Math.floor((rows / known) * 100)}%)`;
    const left = known === undefined ? "" : `, ${whole((known - rows) / Math.max(rate, 1))} s left`;
    this.#bar.show(`${whole(rows)}${of} events${share}, ${whole(rate)} a second${left}`);
  }

  clear(): void {
    this.#bar.clear();
  }
}

function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
