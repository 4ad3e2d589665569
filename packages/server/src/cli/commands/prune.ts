import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type pg from "pg";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { isCode, type OwnEvent, OwnerConnection, ownEvent } from "../../database/owner.ts";
import { RETENTION_CLASSES } from "../../retention/classes.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, note, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { Table } from "../../terminal/table.ts";
import { counted, quoted } from "../../text/words.ts";
import { DATABASE_OPTION, parseClass, parseReason } from "../options/removal.ts";

interface PruneOptions {
  readonly olderThan: string;
  readonly class?: readonly string[];
  readonly reason: string;
  readonly database?: string;
  readonly yes?: true;
  readonly json?: true;
}

/** `seclog prune`. */
export function addPrune(program: Command): void {
  program
    .command("prune")
    .description("drop the months whose time has passed; what proves them stays")
    .requiredOption(
      "--older-than <age>",
      "400d, 60w, 18m (months), 2y: months whose last day is older; this month and the last always stay",
    )
    .option("--class <class...>", `of these retention classes only: ${RETENTION_CLASSES.join(", ")}`)
    .requiredOption("--reason <text>", "why, for the record")
    .option("--yes", "do it; without this it only says what would be dropped")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(prune);
}

interface Month {
  readonly partition: string;
  readonly class: string;
  /** `2026-11` */
  readonly month: string;
  readonly rows: number;
  /** Whether `rows` were counted, and not estimated. */
  readonly exact: boolean;
  readonly sealed: boolean;
  readonly hold: { readonly id: number; readonly reason: string } | null;
}

interface Outcome extends Month {
  readonly dropped: boolean;
  /** Why it was not. */
  readonly why: string | null;
  readonly recorded_as: OwnEvent | null;
}

/** How often a month is tried that somebody else has locked, for two seconds each time. */
const ATTEMPTS = 5;
const PAUSE_MS = 1_000;

async function prune(options: PruneOptions): Promise<void> {
  const age = parseAge(options.olderThan);
  const classes = options.class?.map((text) => parseClass("--class", text)) ?? [...RETENTION_CLASSES];
  const reason = parseReason(options.reason);
  const signal = interruption();
  const progress = new Progress();
  const owner = await unlessInterrupted(signal, OwnerConnection.open(options.database));
  try {
    progress.show("looking at the months …");
    const { before, months, outside } = await unlessInterrupted(
      signal,
      owner.transaction("ROLLBACK", async (client) => await plan(client, age, classes)),
    );
    progress.clear();
    const outcomes: Outcome[] = [];
    if (options.yes) {
      for (const month of months) {
        const outcome = await drop(owner, month, reason, signal, progress);
        progress.clear();
        outcomes.push(outcome);
        if (!options.json) await print(`${outcomeText(outcome)}\n`);
      }
    }
    const stay = outcomes.filter(({ dropped }) => !dropped).length;
    if (options.json) {
      const partitions = options.yes ? outcomes : months;
      await print(jsonLine({ dry_run: options.yes !== true, before, partitions, default_partitions: outside }));
    } else {
      if (months.length === 0) await print(`No month of ${classes.join(", ")} ended before ${before.slice(0, 10)}.\n`);
      else if (!options.yes) await print(planTable(months));
      for (const { partition, rows } of outside) {
        note(
          `${partition} has ${counted(rows, "event")} older than that, which have no month of their own: they stay.`,
        );
      }
      if (!options.yes && months.length > 0)
        note("Nothing was changed. The same with --yes drops what is sealed and not held.");
      if (stay > 0) note(`${counted(stay, "month")} could not be dropped.`);
    }
    if (stay > 0) process.exitCode = 1;
  } catch (error) {
    throw databaseError(error, "admin");
  } finally {
    progress.clear();
    if (!signal.aborted) await owner.close();
  }
}

const UNITS: ReadonlyMap<string, string> = new Map([
  ["d", "days"],
  ["w", "weeks"],
  ["m", "months"],
  ["y", "years"],
]);

/** An age as PostgreSQL's interval. */
function parseAge(text: string): string {
  const [, count, unit] = /^([1-9]\d{0,4})([dwmy])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return `${count} ${UNITS.get(unit)}`;
  throw new SeclogError("SECLOG_CONFIG", `--older-than ${quoted(text)} is no age: write 400d, 60w, 18m (months) or 2y`);
}

/** Where an estimate would be that small, one can as well count. */
const COUNT_UP_TO = 100_000;

interface Plan {
  readonly before: string;
  readonly months: readonly Month[];
  readonly outside: readonly { readonly partition: string; readonly rows: number }[];
}

/** The months to drop, oldest first. This month and the last one stay: applications would make their partitions again. */
async function plan(client: pg.Client, age: string, classes: readonly string[]): Promise<Plan> {
  const cutoff = await client.query<{ before: string }>(
    `SELECT to_char(least(now() - $1::interval, date_trunc('month', now()) - interval '1 month'), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS before`,
    [age],
  );
  const before = cutoff.rows[0]?.before ?? "";
  const { rows: found } = await client.query<{ partition: string; class: string; month: string; estimate: number }>(
    `SELECT part.relname::text AS partition, class, replace(right(part.relname, 7), '_', '-') AS month, part.reltuples::float8 AS estimate
      FROM unnest($1::text[]) AS class
      JOIN pg_inherits ON inhparent = to_regclass('public.security_event_log_' || class)
      JOIN pg_class AS part ON part.oid = inhrelid
      -- In this order: a name without a month in it cannot be read as one.
      WHERE CASE WHEN part.relname ~ ('^security_event_log_' || class || '_\\d{4}_\\d\\d$')
        THEN to_timestamp(right(part.relname, 7), 'YYYY_MM') + interval '1 month' <= $2 END
      ORDER BY month, class`,
    [classes, before],
  );
  const months: Month[] = [];
  for (const { partition, class: name, month, estimate } of found) {
    const exact = estimate < COUNT_UP_TO;
    // The name is of a pattern that needs no quotes.
    const { rows } = await client.query<Pick<Month, "rows" | "sealed" | "hold">>(
      `SELECT ${exact ? `(SELECT count(*)::float8 FROM public.${partition})` : "$3::float8"} AS rows,
          NOT EXISTS (SELECT FROM public.security_event_source AS source
            CROSS JOIN LATERAL (SELECT max(log.seq) AS last_seq FROM public.${partition} AS log WHERE log.source_id = source.id) AS stored
            WHERE stored.last_seq > coalesce((SELECT seal.last_seq FROM public.security_event_seal AS seal
              WHERE seal.source_id = source.id ORDER BY seal.first_seq DESC LIMIT 1), 0)) AS sealed,
          (SELECT json_build_object('id', id, 'reason', reason) FROM public.security_event_hold AS hold
            WHERE hold.released_at IS NULL AND (hold.retention IS NULL OR hold.retention = $1)
              AND hold.since < $2::timestamptz + interval '1 month' AND hold.until > $2 ORDER BY id LIMIT 1) AS hold`,
      [name, `${month}-01T00:00:00Z`, ...(exact ? [] : [estimate])],
    );
    months.push({ partition, class: name, month, exact, ...(rows[0] as (typeof rows)[number]) });
  }
  const outside: { partition: string; rows: number }[] = [];
  for (const name of [
    ...classes.map((each) => `${each}_default`),
    ...(classes.length === RETENTION_CLASSES.length ? ["other"] : []),
  ]) {
    const partition = `security_event_log_${name}`;
    const { rows } = await client.query<{ rows: number }>(
      `SELECT count(*)::float8 AS rows FROM public.${partition} WHERE occurred_at < $1`,
      [before],
    );
    if (rows[0] !== undefined && rows[0].rows > 0) outside.push({ partition, rows: rows[0].rows });
  }
  return { before, months, outside };
}

async function drop(
  owner: OwnerConnection,
  month: Month,
  reason: string,
  signal: AbortSignal,
  progress: Progress,
): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    progress.show(
      `dropping ${month.partition}${attempt === 1 ? "" : `: somebody else is using the log, attempt ${attempt} of ${ATTEMPTS}`} …`,
    );
    try {
      return await unlessInterrupted(
        signal,
        owner.transaction("COMMIT", async (client): Promise<Outcome> => {
          const { rows } = await client.query<{ pruned: number; recorded_as: string }>(
            "SELECT pruned::float8, recorded_as FROM public.seclog_prune($1, $2, $3)",
            [month.class, `${month.month}-01T00:00:00Z`, reason],
          );
          const { pruned, recorded_as } = rows[0] as (typeof rows)[number];
          const event = await ownEvent(client, recorded_as);
          return {
            ...month,
            rows: pruned,
            exact: true,
            sealed: true,
            hold: null,
            dropped: true,
            why: null,
            recorded_as: event,
          };
        }),
      );
    } catch (error) {
      const stays = { ...month, dropped: false, recorded_as: null };
      if (isCode(error, "SL020"))
        return {
          ...stays,
          sealed: false,
          why: "it has events that are not sealed: is seclog seal running?",
        };
      if (isCode(error, "SL021"))
        return { ...stays, why: `${(error as Error).message}; ${commandLine("hold --release")} ends it` };
      if (isCode(error, "SL022")) return { ...stays, dropped: true, why: "it was gone already" };
      // Locked by somebody, also in a circle.
      if (!isCode(error, "55P03", "40P01")) throw error;
      if (attempt === ATTEMPTS) {
        return {
          ...stays,
          why: `somebody has held the log locked for ${ATTEMPTS} attempts: a long query, a dump or an open transaction; see pg_stat_activity`,
        };
      }
      await unlessInterrupted(signal, sleep(PAUSE_MS, undefined, { signal }));
    }
  }
}

function outcomeText({ partition, rows, dropped, why, recorded_as }: Outcome): string {
  if (!dropped) return `${partition} stays: ${why}`;
  if (recorded_as === null) return `${partition}: ${why}`;
  return `${partition} dropped: ${counted(rows, "event")}, on record as event ${recorded_as.id}`;
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
