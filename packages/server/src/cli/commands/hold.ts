import type { Command } from "commander";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { OwnerConnection } from "../../database/owner.ts";
import { RETENTION_CLASSES } from "../../retention/classes.ts";
import { parseFilter } from "../../search/filter.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, note, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { quoted } from "../../text/words.ts";
import { DATABASE_OPTION, parseClass, parseReason } from "../options/removal.ts";

interface HoldOptions {
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
export function addHold(program: Command): void {
  program
    .command("hold")
    .description("keep events from erasure and retention, as long as a case asks for it")
    .option("--reason <text>", "why it is placed, or ends")
    .option("--since <time>", "events from: 2026-11-22[T10:30[Z]] (UTC), 90d ago (default: the first)")
    .option("--until <time>", "events up to, in the same forms (default: those to come as well)")
    .option("--class <class>", `of one retention class: ${RETENTION_CLASSES.join(", ")} (default: all)`)
    .option("--list", "list the holds")
    .option("--release <id>", "end the hold of this number")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(hold);
}

interface Hold {
  readonly id: number;
  readonly reason: string;
  readonly class: string | null;
  readonly since: string | null;
  readonly until: string | null;
  readonly placed_at: string;
  readonly released_at: string | null;
}

const time = (column: string): string =>
  `CASE WHEN isfinite(${column}) THEN to_char(${column}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS ${column}`;

const HOLDS = `SELECT id::float8, reason, retention AS class, ${time("since")}, ${time("until")}, ${time("placed_at")}, ${time("released_at")}
  FROM public.security_event_hold`;

async function hold(options: HoldOptions): Promise<void> {
  const work = parseWork(options);
  const signal = interruption();
  const owner = await unlessInterrupted(signal, OwnerConnection.open(options.database));
  try {
    const holds = await unlessInterrupted(
      signal,
      owner.transaction(options.list ? "ROLLBACK" : "COMMIT", async (client) => {
        let where = "ORDER BY released_at IS NOT NULL, id";
        let values: unknown[] = [];
        if (work !== undefined) {
          const { rows } = await client.query<{ answer: string | boolean }>(
            `SELECT ${work.call} AS answer`,
            work.values,
          );
          const answer = rows[0]?.answer;
          if (answer === false) {
            throw new SeclogError(
              "SECLOG_REMOVAL",
              `there is no hold ${options.release}, or it has ended: see ${commandLine("hold --list")}`,
            );
          }
          where = "WHERE id = $1";
          values = [answer === true ? options.release : answer];
        }
        return (await client.query<Hold>(`${HOLDS} ${where}`, values)).rows;
      }),
    );
    if (options.json) await print(jsonLine(options.list ? { holds } : holds[0]));
    else if (!options.list) {
      const id = holds[0]?.id;
      await print(
        options.release === undefined
          ? `Hold ${id} is placed, and on record.\n`
          : `Hold ${id} has ended, and that is on record.\n`,
      );
    } else if (holds.length === 0) note("There are no holds.");
    else await print(holdTable(holds));
  } catch (error) {
    throw databaseError(error, "admin");
  } finally {
    if (!signal.aborted) await owner.close();
  }
}

/** What to call; nothing for a list. */
function parseWork(options: HoldOptions): { readonly call: string; readonly values: unknown[] } | undefined {
  const { list, release, since, until } = options;
  const others = [since, until, options.class].some((value) => value !== undefined);
  if (
    (list && (release !== undefined || options.reason !== undefined || others)) ||
    (release !== undefined && others)
  ) {
    throw new SeclogError("SECLOG_CONFIG", "one thing at a time: place a hold, --list, or --release one");
  }
  if (list) return undefined;
  if (options.reason === undefined)
    throw new SeclogError("SECLOG_CONFIG", "--reason is missing: say why, for those who ask later");
  const reason = parseReason(options.reason);
  if (release !== undefined) {
    if (!/^\d{1,15}$/.test(release))
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--release ${quoted(release)} is no hold's number: see ${commandLine("hold --list")}`,
      );
    return { call: "public.seclog_release($1, $2)", values: [release, reason] };
  }
  const filter = parseFilter({ ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) });
  const name = options.class === undefined ? null : parseClass("--class", options.class);
  return {
    call: "public.seclog_hold($1, $2, $3, $4)",
    values: [reason, name, filter.since ?? null, filter.until ?? null],
  };
}

function holdTable(holds: readonly Hold[]): string {
  const day = (text: string | null): string =>
    text === null ? "…" : text.slice(0, 16).replace("T", " ").replace(" 00:00", "");
  return new Table<Hold>([
    { title: "HOLD", value: ({ id }) => id, right: true },
    { title: "CLASS", value: (row) => row.class ?? "all" },
    {
      title: "EVENTS OF (UTC)",
      value: ({ since, until }) => (since === null && until === null ? "any time" : `${day(since)} to ${day(until)}`),
    },
    { title: "PLACED", value: ({ placed_at }) => placed_at.slice(0, 10) },
    {
      title: "ENDED",
      value: ({ released_at }) => released_at?.slice(0, 10) ?? "-",
      style: ({ released_at }) => (released_at === null ? "plain" : "dim"),
    },
    { title: "REASON", value: ({ reason }) => reason, min: 12 },
  ]).lines(holds);
}
