import type pg from "pg";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

const DAY_MS = 86_400_000;

/** Checks whether every class has partitions for now and for the future, and counts events outside them. */
export async function checkPartitions(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ parent: string; bound: string }>(
    `SELECT p.relname::text AS parent, pg_get_expr(c.relpartbound, c.oid) AS bound
     FROM pg_partition_tree('public.security_event_log') t
     JOIN pg_class c ON c.oid = t.relid JOIN pg_class p ON p.oid = t.parentrelid
     WHERE t.level = 2 ORDER BY 1, 2`,
  );
  const classes = [...new Set(rows.map(({ parent }) => parent))];
  for (const parent of classes) {
    const ranges = rows
      .filter((row) => row.parent === parent)
      .flatMap(({ bound }) => {
        const [, from, to] = /FROM \('([^']+)'\) TO \('([^']+)'\)/.exec(bound) ?? [];
        return from === undefined || to === undefined ? [] : [{ from, to, start: timeOf(from), end: timeOf(to) }];
      })
      .sort((a, b) => a.start - b.start);
    const end = Math.max(0, ...ranges.map((range) => range.end));
    const days = Math.floor((end - Date.now()) / DAY_MS);
    if (days < 0) {
      findings.fault(`${parent} has no partition for now: events go to its default partition`, PARTITIONS_ADVICE);
    } else if (days < 28)
      findings.warning(`the partitions of ${parent} end in ${counted(days, "day")}`, PARTITIONS_ADVICE);
    else findings.ok(`the partitions of ${parent} reach ${counted(days, "day")} ahead`);
    for (const { from, to } of gaps(ranges)) {
      findings.warning(
        `${parent} has no partition from ${from} to ${to}: events of that time go to its default partition`,
        PARTITIONS_ADVICE,
      );
    }
    const outside = await countOutside(client, parent, ranges);
    if (outside > 0) {
      findings.warning(
        `${counted(outside, "event")} in the default partition of ${parent}: a clock was wrong, or partitions were missing`,
        "seclog seal moves them to the months that it creates, up to 300,000 events each; for the rest check occurred_at",
      );
    }
  }
  if (classes.length === 0) findings.fault("the log has no partitions", `run ${commandLine("setup")}`);
}

const PARTITIONS_ADVICE = "run seclog seal, which creates them at its start and hourly, or seclog setup";

function timeOf(text: string): number {
  return Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`);
}

/** The gaps between now and the end of the last partition. */
function gaps(
  ranges: readonly { readonly start: number; readonly end: number }[],
): { readonly from: string; readonly to: string }[] {
  const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
  const found: { from: string; to: string }[] = [];
  let covered = Date.now();
  for (const { start, end } of ranges) {
    if (start > covered) found.push({ from: day(covered), to: day(start) });
    covered = Math.max(covered, end);
  }
  return found;
}

/** Counts a retention class's events outside its monthly partitions. The conditions let PostgreSQL skip those partitions. */
async function countOutside(
  client: pg.Client,
  parent: string,
  ranges: readonly { readonly from: string; readonly to: string }[],
): Promise<number> {
  const retention = parent.replace(/^security_event_log_/, "");
  const values: string[] = [retention];
  const parameter = (value: string): string => `$${values.push(value)}::timestamptz`;
  const conditions = ranges.map((range, index) => {
    const after = ranges[index - 1];
    const upTo = `occurred_at < ${parameter(range.from)}`;
    return after === undefined ? upTo : `(occurred_at >= ${parameter(after.to)} AND ${upTo})`;
  });
  const last = ranges.at(-1);
  if (last !== undefined) conditions.push(`occurred_at >= ${parameter(last.to)}`);
  const where = conditions.length === 0 ? "true" : conditions.join(" OR ");
  const { events } = await oneRow<{ events: string }>(
    client,
    `SELECT count(*) AS events FROM public.security_event_log WHERE retention = $1 AND (${where})`,
    values,
  );
  return Number(events);
}
