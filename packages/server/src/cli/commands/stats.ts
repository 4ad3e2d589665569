import { timeRange } from "@seclog/api";
import type { Command } from "commander";
import { commandLine } from "../../config/program.ts";
import { type Database, queriesOf } from "../../database/reader.ts";
import { type SealProgress, sealProgress } from "../../integrity/stored-tree.ts";
import { countOverTime } from "../../search/aggregate.ts";
import type { EventFilter, FilterOptions } from "../../search/filter.ts";
import { queryOf } from "../../search/filter-query.ts";
import type { SourceState, SourceTotals } from "../../search/sources.ts";
import { summarize } from "../../search/summary.ts";
import { unknownNames } from "../../search/unknown-names.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { lineWidth } from "../../terminal/line-width.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { styled } from "../../terminal/style.ts";
import { Table } from "../../terminal/table.ts";
import { sparkline } from "../../text/sparkline.ts";
import { counted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { timeText } from "../event-table.ts";
import { addFilterOptions, addTimeOptions, parseSelection } from "../options/filter.ts";
import { parseCount, parseTimeout, timeoutOption } from "../options/numbers.ts";
import { tallyTable } from "../tally-table.ts";

interface StatsOptions extends FilterOptions {
  readonly top: string;
  readonly json?: true;
  readonly timeout: string;
}

/** `seclog stats`. */
export function addStats(command: Command): void {
  addFilterOptions(addTimeOptions(command, "1d"))
    .option("--top <number>", "how many of each", "10")
    .option("--json", "one JSON document")
    .addOption(timeoutOption())
    .action(stats);
}

async function stats(words: readonly string[], options: StatsOptions, command: Command): Promise<void> {
  const filter = parseSelection(words, options, command);
  const top = parseCount("--top", options.top, 9_999);
  const timeout = parseTimeout(options.timeout);
  const signal = interruption();
  await withReader(signal, timeout, async (database) => {
    const { summary, over, hints, seal } = await unlessInterrupted(
      signal,
      (async () => ({
        summary: await summarize(database, filter, top),
        over: options.json ? undefined : await overTime(database, filter),
        hints: await unknownNames(queriesOf(database), filter),
        seal: await sealProgress(queriesOf(database)),
      }))(),
    );
    const { events, occurrences, level, type, ip, hour, totals, sources } = summary;
    const range = timeRange(queryOf(filter));
    const since = range.since?.toISOString() ?? null;
    const until = range.until?.toISOString() ?? null;
    if (options.json) {
      await print(
        jsonLine({
          since,
          until,
          events,
          occurrences,
          by_level: level,
          by_type: type,
          by_ip: ip,
          by_hour: hour,
          sources: { total: totals.sources, quarantined: totals.quarantined, latest: sources },
          seal: {
            leaves: seal.size,
            sealed_at: seal.sealedAt,
            unsealed: typeof seal.unsealed === "bigint" ? String(seal.unsealed) : seal.unsealed,
            oldest_unsealed_seconds: seal.oldestUnsealed,
          },
        }),
      );
      return;
    }
    const more = occurrences > events ? ` (for ${counted(occurrences, "occurrence")})` : "";
    await print(
      `${counted(events, "event")}${more}${since === null ? "" : ` since ${minute(since)}`}${until === null ? "" : ` until ${minute(until)}`}\n`,
    );
    if (over !== undefined) await print(over);
    await print(tallyTable("LEVEL", level));
    await print(tallyTable("EVENT", type));
    await print(tallyTable("CLIENT", ip));
    await print(tallyTable("HOUR (UTC)", hour));
    await print(sourceLines(sources, totals));
    for (const hint of hints) notice(hint);
    await print(sealLine(seal));
  });
}

/** The events over time, as a line of bars. */
async function overTime(database: Database, filter: EventFilter): Promise<string | undefined> {
  const options = { budgetMs: 5_000, most: Math.min(120, lineWidth()), by: "none" } as const;
  const timeline = await countOverTime(database, queryOf(filter), options);
  if (timeline === undefined || timeline.buckets.every(({ events }) => events === 0)) return undefined;
  return `${sparkline(timeline.buckets.map(({ events }) => events))}\n`;
}

function sealLine({ size, sealedAt, unsealed, oldestUnsealed }: SealProgress): string {
  if (sealedAt === null) return `\nNothing is sealed: ${commandLine("seal")} makes the log tamper-evident.\n`;
  const last = `${counted(size, "event")} sealed, last at ${minute(sealedAt)}`;
  if (unsealed === 0) return `\n${last}; none waiting.\n`;
  const waiting = `${unsealed.toLocaleString("en")} waiting, the oldest for ${duration(oldestUnsealed)}`;
  return `\n${last}; ${styled(waiting, oldestUnsealed > 60 ? "yellow" : "plain")}.\n`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function minute(time: string | null): string {
  return time === null ? "" : `${time.slice(0, 16).replace("T", " ")} UTC`;
}

function sourceLines(rows: readonly SourceState[], totals: SourceTotals): string {
  if (totals.sources === rows.length && rows.every((row) => row.own)) return "\nNo application has sent events yet.\n";
  const year = new Date().toISOString().slice(0, 5);
  const table = new Table<SourceState>([
    // The first half of a UUIDv7 is its time; the second half distinguishes sources.
    { title: "SOURCE", value: (row) => `…${row.id.slice(-12)}` },
    { title: "SERVICE", value: (row) => [row.service, row.host].filter((part) => part !== null).join("@"), min: 8 },
    { title: "LAST SEQ", value: (row) => row.last_seq.toLocaleString("en"), right: true },
    {
      title: "SET ASIDE",
      value: (row) => row.quarantined,
      style: (row) => (row.quarantined > 0 ? "red" : "plain"),
      right: true,
    },
    { title: "LAST BATCH", value: (row) => timeText(row.updated_at, year) },
    { title: "HEARTBEAT", value: (row) => (row.last_heartbeat === null ? "-" : timeText(row.last_heartbeat, year)) },
  ]);
  const aside =
    totals.quarantined === 0
      ? ""
      : styled(`; ${counted(totals.quarantined, "event")} set aside (table security_event_quarantine)`, "red");
  return `\n${counted(totals.sources, "source")}, the latest first${aside}\n${table.lines(rows)}`;
}
