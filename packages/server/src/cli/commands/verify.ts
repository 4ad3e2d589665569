import type { VerifyReport } from "@seclog/verify";
import { progressText, readVerification, reportHint, reportText, saveCheckpoint } from "@seclog/verify/program";
import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { verifyStoredLog } from "../../integrity/verify-stored-log.ts";
import { Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { conclude, Exit } from "../exit.ts";
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
Get the key from the log's operator by a path other than the database. After a
rotation, name the old keys too, oldest first. Only checkpoints kept elsewhere
reveal a truncated log or a rolled-back database.

Connects with SECLOG_READER_URL and reads one snapshot, so sealing can continue.
A file may be - for standard input or output.

Exit codes:
  0  the log is what was sealed
  1  something was changed, removed or inserted; the report says what
  2  wrong input: a key, a file or an option
  3  not finished, so there is no answer: the database, a file or the output
     failed`;

/** `seclog verify`. */
export function addVerify(command: Command): void {
  command
    .requiredOption("--vkey <key>", "the log's public key; repeat for each later key, in order", collect)
    .option("--checkpoint <file>", "signed checkpoints kept elsewhere, any number per file; repeatable", collect)
    .option("--from <file>", "the checkpoint of an earlier verification: read only what came after it")
    .option(
      "--save <file>",
      "write the newest verified checkpoint to this file, for the next --from; with -, print it, and the report to standard error",
    )
    .option("--export <folder>", "verify an export instead of the database")
    .option("--write-export <folder>", "also write what is read to a new folder, for --export elsewhere")
    .option("--json", "one JSON document")
    .addHelpText("after", HELP)
    .action(verify);
}

async function verify(options: VerifyOptions): Promise<void> {
  const { save, json } = options;
  const { keys, from, elsewhere } = asConfig(() => readVerification(options));
  const signal = interruption();
  const bar = new Progress();
  const progress = (done: number, size: number): void => bar.show(progressText(done, size));
  let report: VerifyReport;
  try {
    const source = options.export === undefined ? { url: requireUrl("reader") } : { folder: options.export };
    const { writeExport } = options;
    report = await unlessInterrupted(
      signal,
      verifyStoredLog({ source, writeExport, signal, keys, elsewhere, from, progress }),
    );
  } catch (error) {
    throw unfinished(error);
  } finally {
    bar.clear();
  }
  const note = report.intact ? report.newest_note : null;
  const unsaved = save === undefined || save === "-" || note === null ? undefined : unlessSaved(save, note);
  await conclude(report.intact ? unsaved : new Exit(1), async () => {
    const hint = json ? undefined : reportHint(report);
    if (hint !== undefined) notice(hint);
    if (save !== "-") return await print(json ? jsonLine(report) : reportText(report, page));
    notice(reportText(report, page).trimEnd());
    await print(note ?? "");
  });
}

/** Wraps an error that prevented a verdict. Interruptions and wrong options stay as they are. */
function unfinished(error: unknown): unknown {
  if (error instanceof Interrupted) return error;
  if (error instanceof SeclogError && error.code === "SECLOG_CONFIG") return error;
  return new Unfinished(`not verified: ${errorMessage(error)}`, { cause: error });
}

/** Why the checkpoint could not be saved; `undefined` if it was. */
function unlessSaved(file: string, note: string): Unfinished | undefined {
  try {
    saveCheckpoint(file, note);
    return undefined;
  } catch (error) {
    return new Unfinished(errorMessage(error), { cause: error });
  }
}
