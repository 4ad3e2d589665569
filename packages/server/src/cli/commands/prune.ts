import type { Command } from "commander";
import { parseAge } from "../../retention/age.ts";
import { requireReason } from "../../retention/checks.ts";
import { RETENTION_CLASSES, requireClass } from "../../retention/classes.ts";
import { dropMonths, type Month, type PruneOutcome, planPrune } from "../../retention/prune.ts";
import { eachUnlessInterrupted, interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print, printIfRead } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { Table } from "../../terminal/table.ts";
import { counted } from "../../text/words.ts";
import { withOwner } from "../connections.ts";
import { conclude, Exit } from "../exit.ts";
import { DATABASE_OPTION } from "../options/removal.ts";

interface PruneCommandOptions {
  readonly olderThan: string;
  readonly class?: readonly string[];
  readonly reason: string;
  readonly database?: string;
  readonly yes?: true;
  readonly json?: true;
}

/** `seclog prune`. */
export function addPrune(command: Command): void {
  command
    .requiredOption(
      "--older-than <age>",
      "400d, 60w, 18m (months), 2y: drop months whose last day is older; the current month and the one before always stay",
    )
    .option("--class <class...>", `only these retention classes: ${RETENTION_CLASSES.join(", ")}`)
    .requiredOption("--reason <text>", "why, for the record")
    .option("--yes", "drop; without this, only print what would be dropped")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(prune);
}

async function prune(options: PruneCommandOptions): Promise<void> {
  const age = parseAge(options.olderThan);
  const classes = options.class?.map((text) => requireClass(text)) ?? RETENTION_CLASSES;
  const reason = requireReason(options.reason);
  // Months that were to be dropped are dropped, whether or not the list of them is read.
  const signal = interruption(true);
  const progress = new Progress();
  const onProgress = (what: string): void => progress.show(`${what} …`);
  await withOwner(signal, options.database, async (owner) => {
    try {
      onProgress("looking at the months");
      const { before, months, outside } = await unlessInterrupted(signal, planPrune(owner, age, classes));
      progress.clear();
      const outcomes: PruneOutcome[] = [];
      const toDrop = options.yes ? months : [];
      for await (const outcome of eachUnlessInterrupted(
        signal,
        dropMonths(owner, toDrop, { reason, signal, onProgress }),
      )) {
        progress.clear();
        outcomes.push(outcome);
        if (!options.json) await printIfRead(`${outcomeText(outcome)}\n`);
      }
      const stay = outcomes.filter(({ dropped }) => !dropped).length;
      await conclude(stay > 0 ? new Exit(1) : undefined, async () => {
        if (options.json) {
          const partitions = options.yes ? outcomes : months;
          await print(jsonLine({ dry_run: options.yes !== true, before, partitions, default_partitions: outside }));
          return;
        }
        for (const { partition, rows } of outside) {
          notice(
            `${partition} has ${counted(rows, "event")} older than that, outside any monthly partition: they stay.`,
          );
        }
        if (stay > 0) notice(`${counted(stay, "month")} could not be dropped.`);
        if (months.length === 0)
          await print(`No month of ${classes.join(", ")} ended before ${before.slice(0, 10)}.\n`);
        else if (!options.yes) {
          await print(planTable(months));
          notice("Nothing was changed. Add --yes to drop the months that are sealed and not held.");
        }
      });
    } finally {
      progress.clear();
    }
  });
}

function outcomeText({ partition, rows, dropped, why, recorded_as }: PruneOutcome): string {
  if (!dropped) return `${partition} stays: ${why}`;
  if (recorded_as === null) return `${partition}: ${why}`;
  return `${partition} dropped: ${counted(rows, "event")}, recorded as event ${recorded_as.id}`;
}

function planTable(months: readonly Month[]): string {
  return new Table<Month>([
    { title: "MONTH", value: ({ month }) => month },
    { title: "CLASS", value: (row) => row.class },
    {
      title: "EVENTS",
      value: ({ rows, exact }) => `${exact ? "" : "about "}${rows.toLocaleString("en")}`,
      right: true,
    },
    {
      title: "SEALED",
      value: ({ sealed }) => (sealed ? "yes" : "no"),
      style: ({ sealed }) => (sealed ? "plain" : "red"),
    },
    {
      title: "HOLD",
      value: ({ hold }) => (hold === null ? "-" : `${hold.id}: ${hold.reason}`),
      style: ({ hold }) => (hold === null ? "plain" : "yellow"),
      min: 6,
    },
  ]).lines(months);
}
