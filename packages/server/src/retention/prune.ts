/** Drops months past their retention. Keeps what proves them. */
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { errorMessage, SeclogError } from "seclog";
import { commandLine } from "../config/program.ts";
import { isCode, oneRow } from "../database/failure.ts";
import type { OwnerConnection } from "../database/owner.ts";
import { quoted } from "../text/words.ts";
import { type Age, requireAge } from "./age.ts";
import { requireReason } from "./checks.ts";
import { RETENTION_CLASSES, type RetentionClass, requireClass } from "./classes.ts";
import { type OwnEvent, ownEvent } from "./own-event.ts";

/** One month of a retention class: one partition. */
export interface Month {
  readonly partition: string;
  readonly class: string;
  /** `2026-11` */
  readonly month: string;
  readonly rows: number;
  /** Whether `rows` is a count, not an estimate. */
  readonly exact: boolean;
  readonly sealed: boolean;
  readonly hold: { readonly id: number; readonly reason: string } | null;
}

/** The outcome of dropping a month. */
export interface PruneOutcome extends Month {
  readonly dropped: boolean;
  /** Why the month stays, or was already gone. */
  readonly why: string | null;
  readonly recorded_as: OwnEvent | null;
}

/** The months that could be dropped. */
export interface PrunePlan {
  /** The months ended before this time, in the form of RFC 3339. */
  readonly before: string;
  /** Oldest first. */
  readonly months: readonly Month[];
  /** Older events outside any monthly partition, by partition: they stay. */
  readonly outside: readonly { readonly partition: string; readonly rows: number }[];
}

/**
 * Lists the months older than an age, whether or not they may be dropped. Changes nothing.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a wrong age or class
 */
export async function planPrune(
  owner: OwnerConnection,
  olderThan: Age,
  classes: readonly RetentionClass[] = RETENTION_CLASSES,
): Promise<PrunePlan> {
  requireAge(olderThan);
  // Their names become part of the statements.
  for (const name of classes) requireClass(name);
  return await owner.transaction("ROLLBACK", (client) => readPlan(client, olderThan, classes));
}

export interface DropOptions {
  /** Why, for the record. */
  readonly reason: string;
  /** Ends the wait between two attempts and skips the remaining months. */
  readonly signal?: AbortSignal;
  /** Receives the current step, in words. */
  readonly onProgress?: (what: string) => void;
}

/**
 * Drops months one after the other, each in its own transaction and recorded by an event, and yields each outcome. Skips a
 * month that is not sealed, on hold or in use.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a wrong reason or month; then nothing was dropped
 */
export async function* dropMonths(
  owner: OwnerConnection,
  months: readonly Month[],
  options: DropOptions,
): AsyncGenerator<PruneOutcome> {
  requireReason(options.reason);
  for (const month of months) {
    requireClass(month.class);
    if (!/^\d{4}-(?:0[1-9]|1[0-2])$/.test(month.month)) {
      throw new SeclogError("SECLOG_CONFIG", `${quoted(month.month)} is not a month, such as 2026-11`);
    }
  }
  for (const month of months) yield await dropMonth(owner, month, options);
}

/** Below this estimate, counting is cheap enough. */
const COUNT_UP_TO = 100_000;

/** The months to drop, oldest first. The current month and the one before stay: applications would recreate their partitions. */
async function readPlan(client: pg.Client, age: Age, classes: readonly string[]): Promise<PrunePlan> {
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
    // The name matches a pattern that needs no quotes.
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

/** Attempts to drop a month that another session has locked. Each waits for the lock up to the connection's limit. */
const ATTEMPTS = 5;
const PAUSE_MS = 1_000;

async function dropMonth(
  owner: OwnerConnection,
  month: Month,
  { reason, signal, onProgress }: DropOptions,
): Promise<PruneOutcome> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    const again = attempt === 1 ? "" : `: another session is using the log, attempt ${attempt} of ${ATTEMPTS}`;
    onProgress?.(`dropping ${month.partition}${again}`);
    try {
      return await owner.transaction("COMMIT", async (client) => {
        const { pruned, recorded_as } = await oneRow<{ pruned: number; recorded_as: string }>(
          client,
          "SELECT pruned::float8, recorded_as FROM public.seclog_prune($1, $2, $3)",
          [month.class, `${month.month}-01T00:00:00Z`, reason],
        );
        const done = { rows: pruned, exact: true, sealed: true, hold: null, dropped: true, why: null };
        return { ...month, ...done, recorded_as: await ownEvent(client, recorded_as) };
      });
    } catch (error) {
      const stays = { ...month, dropped: false, recorded_as: null };
      if (isCode(error, "SL020")) {
        return { ...stays, sealed: false, why: "it has unsealed events: check that seclog seal is running" };
      }
      if (isCode(error, "SL021")) {
        const { cause } = error as Error;
        return { ...stays, why: `${errorMessage(cause)}; ${commandLine("hold --release")} releases it` };
      }
      if (isCode(error, "SL022")) return { ...stays, dropped: true, why: "already dropped" };
      // Locked by another session, or a deadlock.
      if (!isCode(error, "55P03", "40P01")) throw error;
      if (attempt === ATTEMPTS) {
        return {
          ...stays,
          why: `another session had the log locked during all ${ATTEMPTS} attempts: a long query, a dump or an open transaction; see pg_stat_activity`,
        };
      }
      await sleep(PAUSE_MS, undefined, signal === undefined ? {} : { signal });
    }
  }
}
