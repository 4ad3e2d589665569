import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { SeclogError } from "seclog";
import { databaseError } from "../../database/failure.ts";
import { openReader, queriesOf } from "../../database/reader.ts";
import { checkSchema } from "../../database/session.ts";
import { type FilterOptions, parseFilter } from "../../search/filter.ts";
import { EventFollower, type EventRow } from "../../search/queries.ts";
import { unknownNames } from "../../search/unknown-names.ts";
import { Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, note, print } from "../../terminal/print.ts";
import { quoted } from "../../text/words.ts";
import { eventObject, eventTable } from "../event-table.ts";
import { addFilterOptions } from "../options/filter.ts";
import { parseCount } from "../options/numbers.ts";

interface TailOptions extends FilterOptions {
  readonly lines: string;
  readonly interval: string;
  readonly json?: true;
}

const RECONNECT_MS = 2_000;

/** `seclog tail`. */
export function addTail(program: Command): void {
  const command = program.command("tail").description("print the last events, then every one as it arrives");
  addFilterOptions(command)
    .option("-n, --lines <number>", "how many of the last events to begin with", "10")
    .option("--interval <seconds>", "how often to look", "0.5")
    .option("--json", "one JSON object on each line")
    .action(tail);
}

async function tail(options: TailOptions): Promise<void> {
  const filter = parseFilter(options);
  const count = parseCount("--lines", options.lines, 99_999, 0);
  const seconds = Number(options.interval);
  if (!(seconds >= 0.05 && seconds <= 3600)) {
    throw new SeclogError("SECLOG_CONFIG", `--interval ${quoted(options.interval)} is not from 0.05 to 3600 seconds`);
  }
  const signal = interruption();
  const table = eventTable({ streaming: true });
  const show = (rows: readonly EventRow[]): Promise<void> =>
    print(options.json ? rows.map((row) => jsonLine(eventObject(row))).join("") : table.lines(rows));
  const database = openReader();
  const follower = new EventFollower(database, filter);
  try {
    await unlessInterrupted(signal, checkSchema(queriesOf(database)));
    const last = await unlessInterrupted(signal, follower.begin(count));
    for (const hint of await unlessInterrupted(signal, unknownNames(queriesOf(database), filter))) note(hint);
    // The titles come even when there is nothing below them yet.
    if (!options.json || last.length > 0) await show(last);
    await follow(follower, show, seconds * 1000, signal);
  } catch (error) {
    // To end it is what Ctrl-C is for here; at once, also while a question is under way.
    if (error instanceof Interrupted) process.exit(0);
    throw databaseError(error, "reader");
  } finally {
    if (!signal.aborted) await database.destroy();
  }
}

async function follow(
  follower: EventFollower,
  show: (rows: readonly EventRow[]) => Promise<void>,
  interval: number,
  signal: AbortSignal,
): Promise<void> {
  let lost = false;
  for (;;) {
    let pause = interval;
    const pages = follower.look();
    try {
      for (;;) {
        const page = await unlessInterrupted(signal, pages.next());
        if (page.done) break;
        await show(page.value);
      }
      if (lost) note("seclog: the database is back");
      lost = false;
    } catch (error) {
      const cause = databaseError(error, "reader");
      // Whoever watches for a break-in wants the tail to outlive a restart of the database.
      if (!(cause instanceof SeclogError) || signal.aborted) throw error;
      if (!lost) note(`seclog: ${cause.message}; trying again`);
      lost = true;
      pause = Math.max(interval, RECONNECT_MS);
    }
    await unlessInterrupted(signal, sleep(pause, undefined, { signal }));
  }
}
