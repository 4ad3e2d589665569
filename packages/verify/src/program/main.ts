/** `seclog-verify`: checks an export or a proof without Seclog or a database. `bin/seclog-verify.js` starts it. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { verifyFiles } from "../export-files.ts";
import { folderLog } from "../export-folder.ts";
import { InputError, VerifyError } from "../note.ts";
import { verifyProof } from "../proof.ts";
import { verifyLog } from "../verify-log.ts";
import { filesText } from "./files-text.ts";
import { readKeys, readText, readVerification, readWitnesses, saveCheckpoint } from "./inputs.ts";
import { proofDocument, proofText } from "./proof-text.ts";
import { progressText, reportHint, reportText } from "./report-text.ts";
import { jsonLine, page, showProgress } from "./terminal.ts";

const HELP = `Usage: seclog-verify export <folder> --vkey <key> [options]
       seclog-verify proof <file> --vkey <key> [options]
       seclog-verify files <folder> [options]

Verifies a Seclog security event log without Seclog. It depends on nothing but
Node, opens no connection and shares no code with the programs that write the
log.

  export   recompute the whole log from an export of seclog verify
           --write-export, and report what was changed, removed or inserted
  proof    check the proof of one event, as seclog prove writes it
  files    check the files of seclog export against their manifest: that they
           are those of that export, not that the log is what was sealed

Options:
  --vkey <key>         the log's public key; after rotations repeat it for each
                       key, the oldest first
  --json               print one JSON document
  -h, --help           print this
  --version            print the version

Options of export:
  --checkpoint <file>  signed checkpoints that were kept elsewhere, any number
                       in a file; repeatable. Without one, verification cannot
                       notice a tail that was cut off or a rolled-back database
  --from <file>        the checkpoint of an earlier verification, at which the
                       export begins
  --save <file>        write the newest verified checkpoint to this file; with
                       -, print it, and the report to standard error

Options of proof:
  --witness <key>      the key of a witness that must have signed the
                       checkpoint; repeatable

Options of files:
  --sha256 <hash>      the hash of the manifest, which the log's event
                       log_export names

Get the key from the log's operator, by another channel than the export. A file
may be - for standard input or output.

Exit codes:
  0  the log is what was sealed, the proof holds, the files are those exported
  1  something was changed, removed or inserted; the proof does not hold
  2  wrong input: a key, a file or an option
  3  not finished, so there is no answer: a file or the output failed
`;

const EXIT = { intact: 0, wrong: 1, usage: 2, unfinished: 3 } as const;

const many = { type: "string", multiple: true } as const;
const one = { type: "string" } as const;
const flag = { type: "boolean" } as const;
/** Options of both commands. */
const COMMON = { vkey: many, json: flag } as const;

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === undefined) {
    process.stderr.write(HELP);
    return EXIT.usage;
  }
  if (args.some((arg) => arg === "--help" || arg === "-h" || arg === "help")) {
    return await conclude(EXIT.intact, () => print(HELP));
  }
  if (command === "--version") {
    const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return await conclude(EXIT.intact, () => print(`${(JSON.parse(manifest) as { version: string }).version}\n`));
  }
  if (command === "export") return await verifyExport(rest);
  if (command === "proof") return await checkProof(rest);
  if (command === "files") return await checkFiles(rest);
  throw new InputError(`unknown command ${JSON.stringify(command.slice(0, 60))}: use export, proof or files`);
}

async function verifyExport(args: readonly string[]): Promise<number> {
  const options = { ...COMMON, checkpoint: many, from: one, save: one } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  const folder = onlyOne(positionals, "export <folder>");
  const { save, json } = values;
  const { keys, elsewhere, from } = readVerification({ ...values, vkey: requireVkeys(values.vkey) });
  const progress = (done: number, size: number): void => showProgress(progressText(done, size));
  const report = await verifyLog(folderLog(folder, from?.size ?? 0), { keys, elsewhere, from, progress });
  showProgress("");
  const note = report.intact ? report.newest_note : null;
  const isSaved = save === undefined || save === "-" || note === null || saved(save, note);
  return await conclude(!report.intact ? EXIT.wrong : isSaved ? EXIT.intact : EXIT.unfinished, async () => {
    const hint = json ? undefined : reportHint(report);
    if (hint !== undefined) process.stderr.write(`${page.wrapped(hint, "")}\n`);
    if (save !== "-") return await print(json ? jsonLine(report) : reportText(report, page));
    process.stderr.write(reportText(report, page));
    await print(note ?? "");
  });
}

function saved(file: string, note: string): boolean {
  try {
    saveCheckpoint(file, note);
    return true;
  } catch (error) {
    complain(messageOf(error));
    return false;
  }
}

async function checkProof(args: readonly string[]): Promise<number> {
  const options = { ...COMMON, witness: many } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  const file = onlyOne(positionals, "proof <file>");
  const keys = readKeys(requireVkeys(values.vkey));
  const witnesses = readWitnesses(values.witness ?? []);
  const text = readText(file);
  try {
    const proven = verifyProof(text, keys, witnesses);
    return await conclude(EXIT.intact, () =>
      print(values.json ? jsonLine(proofDocument(proven)) : proofText(proven, page)),
    );
  } catch (error) {
    if (!(error instanceof VerifyError) || error instanceof InputError) throw error;
    complain(`${file} proves nothing: ${error.message}`);
    return EXIT.wrong;
  }
}

async function checkFiles(args: readonly string[]): Promise<number> {
  const options = { ...COMMON, sha256: one } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  const folder = onlyOne(positionals, "files <folder>", "");
  const keys = values.vkey === undefined ? [] : readKeys(values.vkey);
  const report = await verifyFiles(folder, { keys, sha256: values.sha256 });
  return await conclude(report.intact ? EXIT.intact : EXIT.wrong, () =>
    print(values.json ? jsonLine(report) : filesText(report, page)),
  );
}

/** Runs node:util's parser, whose errors name the option at fault. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    // Keeps the first sentence: the rest is advice on option values that begin with a dash.
    throw new InputError(String(error instanceof Error ? error.message : error).replace(/\. .*/s, ""));
  }
}

function onlyOne(positionals: readonly string[], usage: string, key = " --vkey KEY"): string {
  const [first, ...others] = positionals;
  if (first !== undefined && others.length === 0) return first;
  throw new InputError(`expected one argument: seclog-verify ${usage}${key}`);
}

function requireVkeys(vkeys: readonly string[] | undefined): readonly string[] {
  if (vkeys !== undefined) return vkeys;
  throw new InputError("name the log's public key with --vkey KEY: the log's operator has it");
}

/**
 * Prints an answer and returns its exit code, which stands before the first line is printed. A reader that closes the
 * output has read enough. An output that cannot be written leaves a good answer undelivered, and a bad one as it is.
 */
async function conclude(code: number, show: () => Promise<void>): Promise<number> {
  try {
    await show();
  } catch (error) {
    const { code: reason, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof OutputError)) throw error;
    if (["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"].includes(reason ?? "")) return code;
    complain(message);
    return code === EXIT.intact ? EXIT.unfinished : code;
  }
  return code;
}

/** Standard output refused a write. */
class OutputError extends Error {
  readonly code: string | undefined;

  constructor(cause: NodeJS.ErrnoException) {
    super(`standard output cannot be written: ${cause.message}`, { cause });
    this.code = cause.code;
  }
}

function print(text: string): Promise<void> {
  return new Promise((written, failed) => {
    process.stdout.write(text, (error) => (error ? failed(new OutputError(error)) : written()));
  });
}

function complain(message: string): void {
  // The message may quote a stranger's file.
  const text = page.visible(message.replaceAll("\n", " "));
  process.stderr.write(`seclog-verify: ${process.stderr.isTTY ? page.wrapped(text, "               ") : text}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// print() reports a failed write. Without a listener it would also end the process with 1, which is an answer.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  showProgress("");
  const message = messageOf(error);
  const isUsage = error instanceof InputError;
  complain(isUsage ? `${message} (--help explains)` : `not verified: ${message}`);
  process.exitCode = isUsage ? EXIT.usage : EXIT.unfinished;
}
