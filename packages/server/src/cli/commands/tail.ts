import type { Command } from "commander";
import { SeclogError } from "seclog";
import { queriesOf } from "../../database/reader.ts";
import { EventFollower } from "../../search/event-follower.ts";
import { type EventRow, eventObject } from "../../search/event-rows.ts";
import type { FilterOptions } from "../../search/filter.ts";
import { followEvents } from "../../search/follow-events.ts";
import { unknownNames } from "../../search/unknown-names.ts";
import { eachUnlessInterrupted, Interrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { quoted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { eventTable } from "../event-table.ts";
import { Exit } from "../exit.ts";
import { addFilterOptions, parseSelection } from "../options/filter.ts";
import { parseCount } from "../options/numbers.ts";

interface TailOptions extends FilterOptions {
  readonly lines: string;
  readonly interval: string;
  readonly json?: true;
}

/** `seclog tail`. */
export function addTail(command: Command): void {
  addFilterOptions(command)
    .option("-n, --lines <number>", "how many of the last events to start with", "10")
    .option("--interval <seconds>", "how often to look", "0.5")
    .option("--json", "one JSON object per line")
    .action(tail);
}

async function tail(words: readonly string[], options: TailOptions, command: Command): Promise<void> {
  const filter = parseSelection(words, options, command);
  const count = parseCount("--lines", options.lines, 99_999, 0);
  const seconds = Number(options.interval);
  if (!(seconds >= 0.05 && seconds <= 3600)) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--interval ${quoted(options.interval)} is not a number of seconds from 0.05 to 3600`,
    );
  }
  const signal = interruption();
  const table = eventTable({ streaming: true });
  const show = (rows: readonly EventRow[]): Promise<void> =>
    print(options.json ? rows.map((row) => jsonLine(eventObject(row))).join("") : table.lines(rows));
  try {
    await withReader(signal, undefined, async (database) => {
      const follower = new EventFollower(database, filter);
      const last = await unlessInterrupted(signal, follower.begin(count));
      for (const hint of await unlessInterrupted(signal, unknownNames(queriesOf(database), filter))) notice(hint);
      // Print the titles even before the first event.
      if (!options.json || last.length > 0) await show(last);
      const pages = followEvents(follower, {
        intervalMs: seconds * 1000,
        signal,
        onLost: (message) => notice(`seclog: ${message}; retrying`),
        onBack: () => notice("seclog: the database is back"),
      });
      for await (const rows of eachUnlessInterrupted(signal, pages)) await show(rows);
    });
  } catch (error) {
    // Ctrl-C is how this command ends: at once, even while a statement runs.
    if (error instanceof Interrupted) throw new Exit(0);
    throw error;
  }
}
