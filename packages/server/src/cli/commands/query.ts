import { type Command, Option } from "commander";
import { SeclogError } from "seclog";
import { queriesOf } from "../../database/reader.ts";
import { type EventRow, eventObject } from "../../search/event-rows.ts";
import { type FilterOptions, filterText } from "../../search/filter.ts";
import { findEvents } from "../../search/find-events.ts";
import { unknownNames } from "../../search/unknown-names.ts";
import { eachUnlessInterrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { counted, quoted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { eventTable } from "../event-table.ts";
import { addFilterOptions, addTimeOptions, parseSelection } from "../options/filter.ts";
import { parseTimeout, timeoutOption } from "../options/numbers.ts";

interface QueryOptions extends FilterOptions {
  readonly limit: string;
  readonly order: "newest" | "oldest";
  readonly json?: true;
  readonly ndjson?: true;
  readonly timeout: string;
}

/** `seclog query`. */
export function addQuery(command: Command): void {
  addFilterOptions(addTimeOptions(command, "1d"))
    .option("--limit <number>", "the most events to print, or all", "100")
    .addOption(new Option("--order <order>", "which first").choices(["newest", "oldest"]).default("newest"))
    .addOption(new Option("--json", "one JSON document: { events, more }").conflicts("ndjson"))
    .option("--ndjson", "one JSON object per line, streamed")
    .addOption(timeoutOption())
    .action(query);
}

function parseLimit(text: string): number {
  if (text === "all") return Number.POSITIVE_INFINITY;
  if (/^\d{1,12}$/.test(text) && Number(text) > 0) return Number(text);
  throw new SeclogError("SECLOG_CONFIG", `--limit ${quoted(text)} is neither a number from 1 nor all`);
}

async function query(words: readonly string[], options: QueryOptions, command: Command): Promise<void> {
  const filter = parseSelection(words, options, command);
  const limit = parseLimit(options.limit);
  const timeout = parseTimeout(options.timeout);
  const { order } = options;
  const signal = interruption();
  const printer = options.json ? jsonDocument() : options.ndjson ? ndjson() : table();
  await withReader(signal, timeout, async (database) => {
    let printed = 0;
    let more = false;
    const progress = new Progress();
    const onReached = (time: string): void => progress.show(`searched to ${time.slice(0, 19)}Z`);
    const pages = findEvents(database, filter, { order, limit, onReached }, signal);
    for await (const page of eachUnlessInterrupted(signal, pages)) {
      progress.clear();
      more = page.more;
      printed += page.rows.length;
      if (page.rows.length > 0) await printer.rows(page.rows);
    }
    progress.clear();
    await printer.end(more);
    if (options.json || options.ndjson) return;
    if (printed === 0) {
      for (const hint of await unlessInterrupted(signal, unknownNames(queriesOf(database), filter))) notice(hint);
      notice(`No events match: ${filterText(filter)}. The default is the last day; --since looks further back.`);
    } else if (more) notice(`${counted(printed, "event")}; more match: narrow the filter, or use --limit all.`);
  });
}

interface Printer {
  rows(rows: readonly EventRow[]): Promise<void>;
  end(more: boolean): Promise<void>;
}

function table(): Printer {
  const lines = eventTable({ streaming: false });
  return { rows: (rows) => print(lines.lines(rows)), end: async () => {} };
}

function ndjson(): Printer {
  return { rows: (rows) => print(rows.map((row) => jsonLine(eventObject(row))).join("")), end: async () => {} };
}

function jsonDocument(): Printer {
  let separator = '{"events":[\n';
  return {
    rows: async (rows) => {
      for (const row of rows) {
        await print(separator + jsonLine(eventObject(row)).trimEnd());
        separator = ",\n";
      }
    },
    end: (more) => print(`${separator.startsWith(",") ? "\n" : separator}],"more":${more}}\n`),
  };
}
