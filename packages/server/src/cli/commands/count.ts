import { type Command, Option } from "commander";
import { queriesOf } from "../../database/reader.ts";
import { countBy, countEvents, TALLY_GROUPS, type TallyGroup } from "../../search/count-events.ts";
import type { FilterOptions } from "../../search/filter.ts";
import { unknownNames } from "../../search/unknown-names.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { counted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { addFilterOptions, addTimeOptions, parseSelection } from "../options/filter.ts";
import { parseCount, parseTimeout, timeoutOption } from "../options/numbers.ts";
import { tallyTable } from "../tally-table.ts";

interface CountOptions extends FilterOptions {
  readonly by?: TallyGroup;
  readonly top: string;
  readonly json?: true;
  readonly timeout: string;
}

/** `seclog count`. */
export function addCount(command: Command): void {
  addFilterOptions(addTimeOptions(command, "1d"))
    .addOption(new Option("--by <field>", "count by a field").choices(TALLY_GROUPS))
    .option("--top <number>", "how many values", "10")
    .option("--json", "one JSON document")
    .addOption(timeoutOption())
    .action(count);
}

async function count(words: readonly string[], options: CountOptions, command: Command): Promise<void> {
  const filter = parseSelection(words, options, command);
  const top = parseCount("--top", options.top, 9_999);
  const timeout = parseTimeout(options.timeout);
  const { by } = options;
  const signal = interruption();
  await withReader(signal, timeout, async (database) => {
    const total = await unlessInterrupted(signal, countEvents(database, filter));
    const values = by === undefined ? [] : await unlessInterrupted(signal, countBy(database, filter, by, top));
    if (options.json) {
      await print(jsonLine(by === undefined ? total : { ...total, by, values }));
      return;
    }
    const occurrences = total.occurrences > total.events ? ` (for ${counted(total.occurrences, "occurrence")})` : "";
    await print(`${counted(total.events, "event")}${occurrences}\n`);
    if (by !== undefined) await print(tallyTable(by.toUpperCase(), values));
    if (total.events > 0) return;
    for (const hint of await unlessInterrupted(signal, unknownNames(queriesOf(database), filter))) notice(hint);
  });
}
