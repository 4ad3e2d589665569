import type { Command } from "commander";
import { errorMessage, SeclogError, visibleText } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { ingestLines, LINE_FORMATS } from "../../ingest/ingest-lines.ts";
import { interruption } from "../../terminal/interruption.ts";
import { jsonLine, notice, printIfRead } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { counted, quoted } from "../../text/words.ts";
import { conclude } from "../exit.ts";

interface IngestCommandOptions {
  readonly format: string;
  readonly spool: string;
  readonly service?: string;
  readonly loggers?: string;
  readonly json?: true;
}

/** So many lines that are not records are shown. */
const MOST_SHOWN = 3;

/** `seclog ingest`. */
export function addIngest(command: Command): void {
  command
    .requiredOption("--format <name>", `of standard input: ${LINE_FORMATS.join(", ")}, one JSON record a line`)
    .option("--spool <directory>", "where events wait until the database has them", "var/seclog-ingest")
    .option("--service <name>", "the column service of the events")
    .option("--loggers <names>", "whose records become events: names with commas between, or all", "security")
    .option("--json", "one JSON document at the end")
    .action(ingest);
}

async function ingest(options: IngestCommandOptions): Promise<void> {
  const url = requireUrl("writer");
  const signal = interruption(true);
  // Reading waits for the next line, which may never come.
  signal.addEventListener("abort", () => process.stdin.destroy(), { once: true });
  const progress = new Progress();
  let shown = 0;
  const say = (text: string): void => {
    progress.clear();
    notice(`seclog: ${visibleText(text)}`);
  };
  const result = await ingestLines({
    ...options,
    url,
    directory: options.spool,
    lines: unlessDestroyed(process.stdin, signal),
    loggers: options.loggers === "all" ? "all" : options.loggers?.split(",").map((name) => name.trim()),
    signal,
    onProgress: (recorded) => progress.show(`${counted(recorded, "event")} recorded`),
    onUnknown: (line, reason) => {
      shown += 1;
      if (shown <= MOST_SHOWN)
        say(`${quoted(line)} is not a record: ${typeof reason === "string" ? reason : errorMessage(reason)}`);
    },
    onFailure: say,
  }).finally(() => progress.clear());
  const { recorded, unknown, stored } = result;
  const failure = stored
    ? undefined
    : new SeclogError(
        "SECLOG_DEADLINE",
        `the database does not have every event yet: they wait in ${quoted(options.spool)}, and seclog ship --spool stores them`,
      );
  await conclude(failure, async () => {
    if (options.json === true) await printIfRead(jsonLine(result));
    else notice(`${counted(recorded, "event")} recorded, ${counted(unknown, "line")} that are not records.`);
  });
}

/** The chunks of a stream until it ends, or is destroyed on an interruption. */
async function* unlessDestroyed(stream: NodeJS.ReadStream, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
