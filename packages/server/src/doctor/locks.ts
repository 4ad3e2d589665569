import type pg from "pg";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Finds sessions whose locks block others, and transactions that have been open for long. */
export async function checkLocks(client: pg.Client, findings: Findings): Promise<void> {
  // Without pg_read_all_stats, only our own transactions have times: others show by the sessions that wait for them.
  const { rows } = await client.query<{
    pid: number;
    who: string;
    application: string;
    age: number | null;
    waiting: string;
  }>(
    `SELECT activity.pid, activity.usename::text AS who, activity.application_name AS application,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::int AS age,
        (SELECT count(*) FROM pg_locks AS waiting WHERE NOT waiting.granted
          AND waiting.waitstart < clock_timestamp() - interval '5 seconds' AND activity.pid = ANY (pg_blocking_pids(waiting.pid))) AS waiting
      FROM pg_stat_activity AS activity
      WHERE activity.datname = current_database() AND activity.pid <> pg_backend_pid() AND EXISTS (SELECT FROM pg_locks AS held
        JOIN pg_class AS c ON c.oid = held.relation AND c.relnamespace = 'public'::regnamespace
        WHERE held.pid = activity.pid AND held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
      ORDER BY activity.pid`,
  );
  for (const { pid, who, application, age, waiting } of rows) {
    if (Number(waiting) === 0 && (age ?? 0) < LONG_S) continue;
    const since = age === null ? "" : ` for ${counted(age, "second")}`;
    findings.warning(
      `process ${pid} (${who}, ${application || "no name"}) has held locks on the log${since}${Number(waiting) > 0 ? `, and ${counted(Number(waiting), "session")} wait for it` : ""}`,
      `find out what it does; to end it: SELECT pg_terminate_backend(${pid})`,
    );
  }
}

/** A transaction that holds locks on the log for longer delays new partitions and pruning. */
const LONG_S = 300;
