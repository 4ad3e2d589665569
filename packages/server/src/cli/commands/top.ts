import { both, type Query } from "@seclog/api";
import type { Command } from "commander";
import type { Database } from "../../database/reader.ts";
import { countFacets, countOverTime, countSlices, type Facet, type Timeline } from "../../search/aggregate.ts";
import type { TallyGroup } from "../../search/count-events.ts";
import type { EventFilter, FilterOptions } from "../../search/filter.ts";
import { queryOf } from "../../search/filter-query.ts";
import { parseTime } from "../../search/moment.ts";
import { Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { lineWidth } from "../../terminal/line-width.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { sparkline } from "../../text/sparkline.ts";
import { counted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { Exit } from "../exit.ts";
import { addFilterOptions, parseSelection } from "../options/filter.ts";
import { parseCount } from "../options/numbers.ts";
import { tallyTable } from "../tally-table.ts";

interface TopOptions extends FilterOptions {
  readonly last: string;
  readonly top: string;
  readonly interval: string;
  readonly once?: true;
  readonly json?: true;
}

/** What is counted, under these titles. */
const FIELDS: { readonly [title: string]: TallyGroup } = {
  LEVEL: "level",
  EVENT: "type",
  CLIENT: "ip",
  ACTOR: "actor",
  ROUTE: "route",
};

/** How long to count, so that a screen follows. */
const BUDGET_MS = 1_500;

/** `seclog top`. */
export function addTop(command: Command): void {
  addFilterOptions(command)
    .option("--last <time>", "the time to count: 90s, 15m, 6h", "15m")
    .option("--top <number>", "how many values of each", "5")
    .option("--interval <seconds>", "how often to count", "2")
    .option("--once", "print once and end")
    .option("--json", "one JSON document, once")
    .action(top);
}

async function top(words: readonly string[], options: TopOptions, command: Command): Promise<void> {
  const filter = parseSelection(words, options, command);
  const most = parseCount("--top", options.top, 100);
  const seconds = parseCount("--interval", options.interval, 3_600);
  parseTime("last", options.last, new Date());
  const signal = interruption();
  // Into a file or a pipe it prints once: a screen that is drawn over would be noise there.
  const isLive = process.stdout.isTTY === true && !options.once && !options.json;
  try {
    await withReader(signal, undefined, async (database) => {
      for (;;) {
        const counts = await unlessInterrupted(signal, count(database, filter, options.last, most));
        if (options.json) await print(jsonLine(counts));
        else await print(isLive ? `\x1b[H\x1b[J${screen(counts)}` : screen(counts));
        if (!isLive) return;
        await unlessInterrupted(signal, new Promise((resolve) => setTimeout(resolve, seconds * 1000)));
      }
    });
  } catch (error) {
    // Ctrl-C is how this command ends.
    if (error instanceof Interrupted) throw new Exit(0);
    throw error;
  }
}

interface Counts {
  readonly since: string;
  readonly events: number;
  readonly done: boolean;
  readonly timeline: Timeline["buckets"];
  readonly facets: { readonly [field: string]: Facet };
}

async function count(database: Database, filter: EventFilter, last: string, most: number): Promise<Counts> {
  const now = new Date();
  const since = parseTime("last", last, now);
  const query: Query = both(queryOf(filter), queryOf({ since }));
  const options = { budgetMs: BUDGET_MS };
  const { events } = await countSlices(database, query, options);
  const over = await countOverTime(database, query, { ...options, most: Math.min(120, lineWidth()), by: "none" });
  const { facets, done } = await countFacets(database, query, Object.values(FIELDS), most, options);
  return { since: since.toISOString(), events, done, timeline: over?.buckets ?? [], facets };
}

function screen({ since, events, done, timeline, facets }: Counts): string {
  const head = `${counted(events, "event")} since ${since.slice(11, 19)} UTC${done ? "" : "; counted in part"}\n`;
  const spark = timeline.length === 0 ? "" : `${sparkline(timeline.map((bucket) => bucket.events))}\n`;
  const tables = Object.entries(FIELDS).map(([title, field]) => tallyTable(title, facets[field]?.values ?? []));
  return `${head}${spark}${tables.join("")}`;
}
