import type { Command } from "commander";
import { commandLine } from "../../config/program.ts";
import { requireReason } from "../../retention/checks.ts";
import {
  type Erased,
  type ErasureCriteria,
  erase,
  requireCriteria,
  searchesQuarantine,
} from "../../retention/erase.ts";
import { filterText, parseFilter } from "../../search/filter.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { counted } from "../../text/words.ts";
import { withOwner } from "../connections.ts";
import { addPersonOptions, addTimeOptions } from "../options/filter.ts";
import { DATABASE_OPTION } from "../options/removal.ts";

interface EraseCommandOptions {
  readonly actor?: string;
  readonly target?: string;
  readonly ip?: string;
  readonly event?: readonly string[];
  readonly since?: string;
  readonly until?: string;
  readonly reason: string;
  readonly database?: string;
  readonly yes?: true;
  readonly json?: true;
}

/** `seclog erase`. */
export function addErase(command: Command): void {
  addTimeOptions(addPersonOptions(command).option("--event <id...>", "events by id"))
    .requiredOption("--reason <text>", "why, for the record")
    .option("--yes", "erase; without this, only print what would be erased")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(run);
}

async function run(options: EraseCommandOptions): Promise<void> {
  const criteria = parseCriteria(options);
  const reason = requireReason(options.reason);
  const dryRun = options.yes !== true;
  const signal = interruption();
  await withOwner(signal, options.database, async (owner) => {
    const result = await unlessInterrupted(signal, erase(owner, criteria, { reason, dryRun }));
    if (options.json) await print(jsonLine({ dry_run: dryRun, ...result }));
    else {
      await print(report(result, criteria, dryRun));
      if (dryRun) notice("Nothing was changed. Add --yes to erase.");
    }
  });
}

function parseCriteria({ actor, target, ip, event, since, until }: EraseCommandOptions): ErasureCriteria {
  const filter = parseFilter({
    ...(actor === undefined ? {} : { actor }),
    ...(target === undefined ? {} : { target }),
    ...(ip === undefined ? {} : { ip }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  });
  return requireCriteria(event === undefined ? filter : { ...filter, event });
}

function report(result: Erased, criteria: ErasureCriteria, dryRun: boolean): string {
  const { erased, held, quarantined, first_at, last_at, types, recorded_as } = result;
  const verb = dryRun ? "Would erase" : "Erased";
  const lines: string[] = [];
  if (erased + held + quarantined === 0) {
    const { event } = criteria;
    const sought = [filterText(criteria), event === undefined ? "" : `id ${event.join(" or ")}`].filter(
      (text) => text !== "",
    );
    lines.push(`No events match, so there is nothing to erase. Searched for ${sought.join(", ")}.`);
  }
  if (erased > 0) {
    lines.push(`${verb} ${counted(erased, "event")} from ${minute(first_at)} to ${minute(last_at)} UTC`);
    const table = new Table<readonly [string, number]>([
      { title: "EVENTS", value: ([, count]) => count.toLocaleString("en"), right: true },
      { title: "EVENT", value: ([type]) => type },
    ]);
    lines.push(table.lines(Object.entries(types).sort(([, a], [, b]) => b - a)).trimEnd());
  }
  if (quarantined > 0) lines.push(`${verb} ${counted(quarantined, "record")} in quarantine`);
  if (held > 0) lines.push(`A hold keeps ${counted(held, "event")}: see ${commandLine("hold --list")}`);
  if (!searchesQuarantine(criteria)) {
    lines.push("Records in quarantine were not searched: they have no time and no network to match");
  }
  if (recorded_as !== null)
    lines.push(`On record as log_erased, event ${recorded_as.id} (number ${recorded_as.seq} of the log's own source)`);
  return `${lines.join("\n")}\n`;
}

function minute(time: string | null): string {
  return (time ?? "").slice(0, 19).replace("T", " ");
}
