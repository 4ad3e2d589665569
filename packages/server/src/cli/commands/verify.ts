import { renameSync, writeFileSync } from "node:fs";
import {
  databaseLog,
  exportingLog,
  folderLog,
  type OpenedCheckpoint,
  openCheckpoint,
  type RawLog,
  SNAPSHOT_SETTINGS,
  splitNotes,
  VerifyError,
  type VerifyReport,
  type Vkey,
  verifyLog,
} from "@seclog/verify";
import type { Command } from "commander";
import type pg from "pg";
import copyStreams from "pg-copy-streams";
import { errorMessage, SeclogError, visibleText } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { databaseError } from "../../database/failure.ts";
import { Session } from "../../database/session.ts";
import { Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { wrapped } from "../../terminal/line-width.ts";
import { jsonLine, note, OutputClosed, OutputFailed, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { styled } from "../../terminal/style.ts";
import { counted } from "../../text/words.ts";
import { collect } from "../options/collect.ts";
import { readKeys, readText } from "../options/vkeys.ts";
import { Unfinished } from "../unfinished.ts";

interface VerifyOptions {
  readonly vkey: readonly string[];
  readonly checkpoint?: readonly string[];
  readonly from?: string;
  readonly save?: string;
  readonly export?: string;
  readonly writeExport?: string;
  readonly json?: true;
}

/** Findings that are printed; `--json` has more. */
const SHOWN = 20;

const HELP = `
The key comes from whoever runs the log, by another way than the database. After
a rotation name the old keys too, the oldest first. Checkpoints that were kept
elsewhere find a tail that was cut off, and a database that was rolled back;
without one, that cannot be seen.

Reads as SECLOG_READER_URL, in one snapshot: sealing may go on. A file may be -
for standard input or output.

Exit codes:
  0  the log is what was sealed
  1  something was changed, removed or inserted: it is said what
  2  it cannot be done as asked: a key, a file or an option is wrong
  3  it could not be finished: the database or a file cannot be read`;

/** `seclog verify`. */
export function addVerify(program: Command): void {
  program
    .command("verify")
    .description("recompute the whole log from its rows, and say what is not as it was sealed")
    .requiredOption("--vkey <key>", "the log's public key; again for each later one, in their order", collect)
    .option(
      "--checkpoint <file>",
      "signed checkpoints that were kept elsewhere, any number in a file; repeatable",
      collect,
    )
    .option("--from <file>", "the checkpoint of an earlier verification: only what came after it is read")
    .option("--save <file>", "write the newest checkpoint that was verified there, for the next --from")
    .option("--export <folder>", "verify an export instead of the database")
    .option("--write-export <folder>", "write all that is read into a new folder, for --export elsewhere")
    .option("--json", "one JSON document")
    .addHelpText("after", HELP)
    .action(verify);
}

async function verify(options: VerifyOptions): Promise<void> {
  const keys = readKeys(options.vkey);
  const from = options.from === undefined ? undefined : trusted(options.from, keys);
  const elsewhere = (options.checkpoint ?? []).flatMap((file) =>
    readCheckpoints(file, keys).map((checkpoint) => ({ checkpoint, file })),
  );
  const signal = interruption();
  const progress = new Progress();
  let report: VerifyReport;
  try {
    report = await withLog(options, from?.size ?? 0, signal, (log) =>
      unlessInterrupted(
        signal,
        verifyLog(log, { keys, elsewhere, from, progress: (done, size) => progress.show(bar(done, size)) }),
      ),
    );
  } catch (error) {
    progress.clear();
    throw unfinished(error);
  }
  progress.clear();
  if (options.save !== undefined && report.intact && report.newest_note !== null)
    save(options.save, report.newest_note);
  if (options.json) await print(jsonLine(report));
  else await printReport(report, options);
  process.exitCode = report.intact ? 0 : 1;
}

function readCheckpoints(file: string, keys: readonly Vkey[]): OpenedCheckpoint[] {
  const notes = splitNotes(readText(file));
  if (notes.length === 0) throw new SeclogError("SECLOG_CONFIG", `${file} has no checkpoint`);
  return notes.map((text, index) => {
    try {
      const opened = openCheckpoint(text, keys);
      if (opened.origin === keys[0]?.name) return opened;
      throw new VerifyError(`it is of the log ${opened.origin}, and the keys are of ${keys[0]?.name}`);
    } catch (error) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `checkpoint ${index + 1} of ${file} cannot be believed: ${errorMessage(error)}`,
      );
    }
  });
}

function trusted(file: string, keys: readonly Vkey[]): OpenedCheckpoint {
  const [checkpoint, ...more] = readCheckpoints(file, keys);
  if (checkpoint !== undefined && more.length === 0) return checkpoint;
  throw new SeclogError("SECLOG_CONFIG", `${file} has ${more.length + 1} checkpoints: --from takes one`);
}

/** Opens the log that the options name, in one snapshot. */
async function withLog(
  options: VerifyOptions,
  from: number,
  signal: AbortSignal,
  work: (log: RawLog) => Promise<VerifyReport>,
): Promise<VerifyReport> {
  const { export: folder, writeExport } = options;
  const written = (log: RawLog): RawLog =>
    writeExport === undefined ? log : asAsked(() => exportingLog(log, writeExport, from));
  if (folder !== undefined) return work(written(asAsked(() => folderLog(folder, from))));
  const client = await openSnapshot(requireUrl("reader"));
  try {
    return await work(written(databaseLog((sql) => client.query(copyStreams.to(sql)))));
  } finally {
    // An interrupted COPY would have to be read to its end first.
    if (!signal.aborted) await client.end().catch(() => {});
  }
}

/** A folder that is not what it must be can be put right by naming another. */
function asAsked(open: () => RawLog): RawLog {
  try {
    return open();
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", errorMessage(error));
  }
}

/** A connection in whose one transaction everything is read: what is sealed meanwhile does not disturb. */
export async function openSnapshot(url: string): Promise<pg.Client> {
  const session = await Session.open({
    role: "reader",
    url,
    purpose: "seclog verify",
    access: "READ ONLY",
    statementTimeout: 0,
    idleTimeout: 0,
    settings: SNAPSHOT_SETTINGS,
  });
  const { client } = session;
  try {
    await session.begin("REPEATABLE READ");
    // Neither the settings nor LOCK take the snapshot, the first question does. A partition that is dropped between the snapshot and its
    // lock would be gone, and the record of its removal not seen. This locks the partitions, too.
    await client.query("LOCK TABLE public.security_event_log IN ACCESS SHARE MODE");
    return client;
  } catch (error) {
    await session.end();
    throw error;
  }
}

/** What has kept the verification from a verdict; what only other options can put right, and an interruption, are no such thing. */
function unfinished(thrown: unknown): unknown {
  const error = databaseError(thrown, "reader");
  if (error instanceof Interrupted || error instanceof OutputClosed || error instanceof OutputFailed) return error;
  if (error instanceof SeclogError && error.code === "SECLOG_CONFIG") return error;
  return new Unfinished(`not verified: ${errorMessage(error)}`, { cause: error });
}

function save(file: string, text: string): void {
  if (file === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    // The next verification trusts this file: it is the old one or the new one, and never a part.
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, text);
    renameSync(temporary, file);
  } catch (error) {
    throw new Unfinished(`verified, and ${file} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
}

const BAR = 20;

function bar(done: number, size: number): string {
  const share = size === 0 ? 1 : done / size;
  const full = Math.round(share * BAR);
  return `${"█".repeat(full)}${"░".repeat(BAR - full)} ${Math.floor(share * 100)} %  ${done.toLocaleString("en")} of ${size.toLocaleString("en")} leaves`;
}

async function printReport(report: VerifyReport, options: VerifyOptions): Promise<void> {
  const lines: string[] = [];
  const shown = report.findings.slice(0, SHOWN);
  for (const { kind, sentence } of shown) {
    lines.push(`${styled(kind.padEnd(10), "red")} ${wrapped(visibleText(sentence), " ".repeat(11))}`);
  }
  const more = report.findings_total - shown.length;
  if (more > 0)
    lines.push(`and ${more.toLocaleString("en")} more${options.json ? "" : "; --json has the first ones all"}`);
  if (shown.length > 0) lines.push("");
  lines.push(
    report.intact
      ? styled(`${report.origin} is intact.`, "green")
      : styled(`${report.origin} is NOT what was sealed: ${counted(report.findings_total, "finding")}.`, "alarm"),
  );
  lines.push(...summary(report), ...removed(report));
  for (const text of report.notes) lines.push(wrapped(`Note: ${visibleText(text)}`, "  "));
  await print(`${lines.join("\n")}\n`);
  if (report.intact && report.checkpoints_elsewhere === 0 && report.from === 0) {
    note("Without --checkpoint, a tail that was cut off or a database that was rolled back cannot be seen.");
  }
}

function summary(report: VerifyReport): string[] {
  const lines = [
    `${counted(report.events, "event")} of ${counted(report.sources, "source")}${report.from > 0 ? ` after leaf ${report.from.toLocaleString("en")}` : ""}, ${report.size.toLocaleString("en")} leaves, sealed until ${time(report.sealed_at)}`,
  ];
  if (report.erased > 0)
    lines.push(`${counted(report.erased, "event")} erased by ${counted(report.erasures, "removal")} on record`);
  if (report.pruned > 0)
    lines.push(`${counted(report.pruned, "event")} pruned by ${counted(report.prunings, "removal")} on record`);
  if (report.quarantined > 0) lines.push(`${counted(report.quarantined, "record")} in quarantine`);
  if (report.unsealed > 0) {
    lines.push(
      `${counted(report.unsealed, "event")} not sealed yet, the oldest stored ${time(report.oldest_unsealed_at)}`,
    );
  }
  const elsewhere =
    report.checkpoints_elsewhere > 0
      ? `, and with ${counted(report.checkpoints_elsewhere, "checkpoint")} kept elsewhere`
      : "";
  lines.push(`compared with ${counted(report.checkpoints, "stored checkpoint")}${elsewhere}`);
  for (const { vkey, first_size, last_size } of report.keys) {
    const [name, id] = vkey.split("+");
    lines.push(
      `key ${name}+${id}: ${first_size === null ? "signed none of them" : `signed from ${first_size.toLocaleString("en")} to ${last_size?.toLocaleString("en")} leaves`}`,
    );
  }
  return lines;
}

/** Who took what away, when and why. */
function removed({ removals }: VerifyReport): string[] {
  const lines = removals.slice(0, SHOWN).map((removal) => {
    const { number, kind, recorded_at, actor_id, rows, sources, reason, partitions, sealed } = removal;
    const which = partitions.length > 0 ? `, ${partitions.join(", ")}` : "";
    const what = `${kind} ${counted(rows, "row")} of ${counted(sources, "source")}${which}`;
    const who =
      recorded_at === null
        ? "no event records it"
        : `${time(recorded_at)}, ${actor_id ?? "nobody"}: ${reason ?? "no reason"}`;
    const note = recorded_at === null || sealed ? "" : " (its record is not sealed yet)";
    return wrapped(visibleText(`Removal ${number}, ${what}. ${who}${note}`), "  ");
  });
  const more = removals.length - lines.length;
  if (more > 0) lines.push(`and ${more.toLocaleString("en")} more removals; --json has them all`);
  return lines;
}

function time(text: string | null): string {
  return text === null ? "never" : `${text.slice(0, 19).replace("T", " ")} UTC`;
}
