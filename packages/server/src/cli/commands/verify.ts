import { exportingLog, folderLog, type RawLog, type VerifyReport, verifyLog } from "@seclog/verify";
import {
  progressText,
  readCheckpoints,
  readKeys,
  readStart,
  reportHint,
  reportText,
  saveCheckpoint,
} from "@seclog/verify/program";
import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { databaseError } from "../../database/failure.ts";
import { openSnapshot } from "../../integrity/verify-snapshot.ts";
import { Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, OutputClosed, OutputFailed, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { collect } from "../options/collect.ts";
import { asConfig, page } from "../options/verifier.ts";
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
  const { keys, from, elsewhere } = asConfig(() => {
    const keys = readKeys(options.vkey);
    const from = options.from === undefined ? undefined : readStart(options.from, keys);
    const files = options.checkpoint ?? [];
    const elsewhere = files.flatMap((file) => readCheckpoints(file, keys).map((checkpoint) => ({ checkpoint, file })));
    return { keys, from, elsewhere };
  });
  const signal = interruption();
  const bar = new Progress();
  const progress = (done: number, size: number): void => bar.show(progressText(done, size));
  let report: VerifyReport;
  try {
    report = await withLog(options, from?.size ?? 0, signal, (log) =>
      unlessInterrupted(signal, verifyLog(log, { keys, elsewhere, from, progress })),
    );
  } catch (error) {
    throw unfinished(error);
  } finally {
    bar.clear();
  }
  if (options.save !== undefined && report.intact && report.newest_note !== null)
    save(options.save, report.newest_note);
  await print(options.json ? jsonLine(report) : reportText(report, page));
  const hint = options.json ? undefined : reportHint(report);
  if (hint !== undefined) notice(hint);
  process.exitCode = report.intact ? 0 : 1;
}

/** Opens the log that the options name, a database in one snapshot. */
async function withLog(
  options: VerifyOptions,
  from: number,
  signal: AbortSignal,
  work: (log: RawLog) => Promise<VerifyReport>,
): Promise<VerifyReport> {
  const { export: folder, writeExport } = options;
  const written = (log: RawLog): RawLog =>
    writeExport === undefined ? log : asConfig(() => exportingLog(log, writeExport, from));
  if (folder !== undefined) return work(written(asConfig(() => folderLog(folder, from))));
  const { client, log } = await openSnapshot(requireUrl("reader"));
  try {
    return await work(written(log));
  } finally {
    // An interrupted COPY would have to be read to its end first.
    if (!signal.aborted) await client.end().catch(() => {});
  }
}

/** What kept the verification from a verdict. Not an interruption, nor what only other options can fix. */
function unfinished(thrown: unknown): unknown {
  const error = databaseError(thrown, "reader");
  if (error instanceof Interrupted || error instanceof OutputClosed || error instanceof OutputFailed) return error;
  if (error instanceof SeclogError && error.code === "SECLOG_CONFIG") return error;
  return new Unfinished(`not verified: ${errorMessage(error)}`, { cause: error });
}

function save(file: string, text: string): void {
  try {
    saveCheckpoint(file, text);
  } catch (error) {
    throw new Unfinished(errorMessage(error), { cause: error });
  }
}
