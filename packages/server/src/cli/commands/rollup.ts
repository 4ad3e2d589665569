import type { Command } from "commander";
import { countAll } from "../../search/roll-up.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { counted } from "../../text/words.ts";
import { withOwner } from "../connections.ts";
import { DATABASE_OPTION } from "../options/removal.ts";

interface RollupOptions {
  readonly rebuild?: true;
  readonly database?: string;
  readonly json?: true;
}

/** `seclog rollup`. */
export function addRollup(command: Command): void {
  command
    .option("--rebuild", "forget the counts, and make them anew from the rows")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(rollup);
}

async function rollup(options: RollupOptions): Promise<void> {
  const anew = options.rebuild === true;
  const signal = interruption();
  const progress = new Progress();
  await withOwner(signal, options.database, async (owner) => {
    const onProgress = (numbers: number): void => progress.show(`${counted(numbers, "number")} counted`);
    const numbers = await unlessInterrupted(signal, countAll(owner, { anew, signal, onProgress }));
    progress.clear();
    await print(options.json ? jsonLine({ counted: numbers }) : `${counted(numbers, "number")} counted.\n`);
  });
}
