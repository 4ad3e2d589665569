import type { Command } from "commander";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import type { OwnerConnection } from "../../database/owner.ts";
import { requireReason } from "../../retention/checks.ts";
import { RETENTION_CLASSES, requireClass } from "../../retention/classes.ts";
import { type Hold, listHolds, placeHold, releaseHold } from "../../retention/hold.ts";
import { parseFilter } from "../../search/filter.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { quoted } from "../../text/words.ts";
import { withOwner } from "../connections.ts";
import { DATABASE_OPTION } from "../options/removal.ts";

interface HoldCommandOptions {
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
  readonly class?: string;
  readonly list?: true;
  readonly release?: string;
  readonly database?: string;
  readonly json?: true;
}

/** `seclog hold`. */
export function addHold(command: Command): void {
  command
    .option("--reason <text>", "why the hold is placed or released")
    .option("--since <time>", "start: 2026-11-22[T10:30[Z]] (UTC), 90d ago (default: the first event)")
    .option("--until <time>", "end, in the same forms (default: open, covers future events)")
    .option("--class <class>", `one retention class: ${RETENTION_CLASSES.join(", ")} (default: all)`)
    .option("--list", "list the holds")
    .option("--release <id>", "release the hold with this number")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(hold);
}

async function hold(options: HoldCommandOptions): Promise<void> {
  const work = parseWork(options);
  const signal = interruption();
  await withOwner(signal, options.database, async (owner) => {
    const result = await unlessInterrupted(signal, work(owner));
    if (options.json) await print(jsonLine(result));
    else if ("holds" in result) {
      if (result.holds.length === 0) notice("No holds.");
      else await print(holdTable(result.holds));
    } else {
      const verb = result.released_at === null ? "placed" : "released";
      await print(`Hold ${result.id} ${verb}, and recorded in the log.\n`);
    }
  });
}

type Work = (owner: OwnerConnection) => Promise<Hold | { readonly holds: readonly Hold[] }>;

/** Turns the options into the work they ask for. */
function parseWork(options: HoldCommandOptions): Work {
  const { list, release, since, until } = options;
  const others = [since, until, options.class].some((value) => value !== undefined);
  if (
    (list && (release !== undefined || options.reason !== undefined || others)) ||
    (release !== undefined && others)
  ) {
    throw new SeclogError("SECLOG_CONFIG", "one thing at a time: place a hold, --list, or --release one");
  }
  if (list) return async (owner) => ({ holds: await listHolds(owner) });
  if (options.reason === undefined)
    throw new SeclogError("SECLOG_CONFIG", "--reason is missing: say why, for later readers of the record");
  const reason = requireReason(options.reason);
  if (release !== undefined) {
    if (!/^\d{1,15}$/.test(release))
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--release ${quoted(release)} is not the number of a hold: see ${commandLine("hold --list")}`,
      );
    return (owner) => releaseHold(owner, Number(release), reason);
  }
  const filter = parseFilter({ ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) });
  const name = options.class === undefined ? undefined : requireClass(options.class);
  return (owner) => placeHold(owner, { reason, class: name, since: filter.since, until: filter.until });
}

function holdTable(holds: readonly Hold[]): string {
  const day = (text: string | null): string =>
    text === null ? "…" : text.slice(0, 16).replace("T", " ").replace(" 00:00", "");
  return new Table<Hold>([
    { title: "HOLD", value: ({ id }) => id, right: true },
    { title: "CLASS", value: (row) => row.class ?? "all" },
    {
      title: "EVENTS (UTC)",
      value: ({ since, until }) => (since === null && until === null ? "any time" : `${day(since)} to ${day(until)}`),
    },
    { title: "PLACED", value: ({ placed_at }) => placed_at.slice(0, 10) },
    {
      title: "RELEASED",
      value: ({ released_at }) => released_at?.slice(0, 10) ?? "-",
      style: ({ released_at }) => (released_at === null ? "plain" : "dim"),
    },
    { title: "REASON", value: ({ reason }) => reason, min: 12 },
  ]).lines(holds);
}
