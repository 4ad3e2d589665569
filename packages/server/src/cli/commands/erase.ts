import type { Command } from "commander";
import type pg from "pg";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { isCode, type OwnEvent, OwnerConnection, ownEvent } from "../../database/owner.ts";
import { type EventFilter, filterText, parseFilter } from "../../search/filter.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, note, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { counted, quoted } from "../../text/words.ts";
import { addPersonOptions, addTimeOptions } from "../options/filter.ts";
import { DATABASE_OPTION, parseReason } from "../options/removal.ts";

interface EraseOptions {
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
export function addErase(program: Command): void {
  const command = program
    .command("erase")
    .description("erase a person: what the events say of them goes, the events and their proofs stay");
  addTimeOptions(addPersonOptions(command).option("--event <id...>", "events by their ids"))
    .requiredOption("--reason <text>", "why, for the record")
    .option("--yes", "do it; without this it only says what would be erased")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(erase);
}

interface Erased {
  readonly erased: number;
  readonly held: number;
  readonly quarantined: number;
  readonly first_at: string | null;
  readonly last_at: string | null;
  readonly types: { readonly [type: string]: number };
  readonly recorded_as: OwnEvent | null;
}

async function erase(options: EraseOptions): Promise<void> {
  const criteria = parseCriteria(options);
  const reason = parseReason(options.reason);
  const signal = interruption();
  const owner = await unlessInterrupted(signal, OwnerConnection.open(options.database));
  try {
    const result = await unlessInterrupted(
      signal,
      owner.transaction(options.yes ? "COMMIT" : "ROLLBACK", async (client) => {
        const parts: Erased[] = [];
        for (const each of eachForm(criteria)) parts.push(await eraseOnce(client, each, reason, options.yes !== true));
        return parts.reduce(together);
      }),
    );
    if (options.json) await print(jsonLine({ dry_run: options.yes !== true, ...result }));
    else await print(report(result, options, filterText(criteria)));
    if (!options.yes && !options.json) note("Nothing was changed. The same with --yes erases it.");
  } catch (error) {
    if (!isCode(error, "55P03")) throw databaseError(error, "admin");
    throw new SeclogError(
      "SECLOG_REMOVAL",
      "somebody else has the log locked: nothing was erased; try again, and see pg_stat_activity",
      { cause: error },
    );
  } finally {
    if (!signal.aborted) await owner.close();
  }
}

/** Which events are meant; those of an actor or a target as `isNamed` in queries.ts looks for them. */
interface Criteria extends Pick<EventFilter, "actor" | "target" | "ip" | "since" | "until"> {
  readonly events?: readonly string[];
}

/** Criteria with one form of each id. */
interface OneForm extends Omit<Criteria, "actor" | "target"> {
  readonly actor: string | undefined;
  readonly target: string | undefined;
}

async function eraseOnce(client: pg.Client, criteria: OneForm, reason: string, dryRun: boolean): Promise<Erased> {
  const { actor, target, ip, events, since, until } = criteria;
  const { rows } = await client.query<Omit<Erased, "recorded_as"> & { recorded_as: string | null }>(
    `SELECT erased::float8, held::float8, quarantined::float8, types, recorded_as,
        to_char(first_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS first_at, to_char(last_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_at
      FROM public.seclog_erase($1, $2, $3, $4, $5, $6, $7, $8)`,
    [actor ?? null, target ?? null, ip ?? null, events ?? null, since ?? null, until ?? null, reason, dryRun],
  );
  const row = rows[0] as (typeof rows)[number];
  return { ...row, recorded_as: row.recorded_as === null ? null : await ownEvent(client, row.recorded_as) };
}

/** Each form of the actor's id with each of the target's: `seclog_erase` takes one of each. */
function eachForm({ actor = [], target = [], ...others }: Criteria): readonly OneForm[] {
  const targets = target.length === 0 ? [undefined] : target;
  const actors = actor.length === 0 ? [undefined] : actor;
  return actors.flatMap((one) => targets.map((other) => ({ ...others, actor: one, target: other })));
}

function together(one: Erased, other: Erased): Erased {
  const types = { ...one.types };
  for (const [type, count] of Object.entries(other.types)) types[type] = (types[type] ?? 0) + count;
  const times = [one, other].flatMap(({ first_at, last_at }) => [first_at, last_at]).filter((time) => time !== null);
  times.sort();
  return {
    erased: one.erased + other.erased,
    held: one.held + other.held,
    quarantined: one.quarantined + other.quarantined,
    first_at: times[0] ?? null,
    last_at: times.at(-1) ?? null,
    types,
    recorded_as: other.recorded_as ?? one.recorded_as,
  };
}

function parseCriteria({ actor, target, ip, event, since, until }: EraseOptions): Criteria {
  for (const [option, text] of [
    ["--actor", actor],
    ["--target", target],
  ] as const) {
    if (text === "") throw new SeclogError("SECLOG_CONFIG", `${option} is empty: give the id that the events have`);
  }
  for (const id of event ?? []) {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--event ${quoted(id)} is no event's id: it looks like 01936d2f-5c00-7000-8000-000000000001`,
      );
    }
  }
  if (actor === undefined && target === undefined && ip === undefined && event === undefined) {
    throw new SeclogError("SECLOG_CONFIG", "whom to erase is not said: give --actor, --target, --ip or --event");
  }
  const filter = parseFilter({
    ...(actor === undefined ? {} : { actor }),
    ...(target === undefined ? {} : { target }),
    ...(ip === undefined ? {} : { ip }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  });
  return event === undefined ? filter : { ...filter, events: event };
}

function report(result: Erased, { yes, since, until, ip, event }: EraseOptions, soughtFor: string): string {
  const { erased, held, quarantined, first_at, last_at, types, recorded_as } = result;
  const lines: string[] = [];
  if (erased + held + quarantined === 0) {
    const sought = [soughtFor, ...(event === undefined ? [] : [`id ${event.join(" or ")}`])].filter(
      (text) => text !== "",
    );
    lines.push(`No events match: there is nothing to erase. Looked for ${sought.join(", ")}.`);
  }
  if (erased > 0) {
    lines.push(
      `${yes ? "Erased" : "Would erase"} ${counted(erased, "event")} from ${minute(first_at)} to ${minute(last_at)} UTC`,
    );
    const table = new Table<readonly [string, number]>([
      { title: "EVENTS", value: ([, count]) => count.toLocaleString("en"), right: true },
      { title: "EVENT", value: ([type]) => type },
    ]);
    lines.push(table.lines(Object.entries(types).sort(([, a], [, b]) => b - a)).trimEnd());
  }
  if (quarantined > 0) lines.push(`${yes ? "Erased" : "Would erase"} ${counted(quarantined, "record")} in quarantine`);
  if (held > 0) lines.push(`A hold keeps ${counted(held, "event")}: see ${commandLine("hold --list")}`);
  if (since !== undefined || until !== undefined || isNetwork(ip)) {
    lines.push("Records in quarantine were not looked at: they have neither a time nor a network to go by");
  }
  if (recorded_as !== null)
    lines.push(`On record as log_erased, event ${recorded_as.id} (number ${recorded_as.seq} of the log itself)`);
  return `${lines.join("\n")}\n`;
}

function isNetwork(ip: string | undefined): boolean {
  return ip?.includes("/") === true && !ip.endsWith(ip.includes(":") ? "/128" : "/32");
}

function minute(time: string | null): string {
  return (time ?? "").slice(0, 19).replace("T", " ");
}
