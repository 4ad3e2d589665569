/** Holds: what keeps events from erasure and pruning, as long as a case asks for it. */
import type pg from "pg";
import { SeclogError } from "seclog";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import type { OwnerConnection } from "../database/owner.ts";
import type { RetentionClass } from "./classes.ts";

/** A hold under its columns' names. Times are UTC in the form of RFC 3339; `null` is without an end. */
export interface Hold {
  readonly id: number;
  readonly reason: string;
  /** `null` for all. */
  readonly class: string | null;
  readonly since: string | null;
  readonly until: string | null;
  readonly placed_at: string;
  /** `null` as long as it holds. */
  readonly released_at: string | null;
}

/** What to hold, and why. */
export interface HoldOptions {
  readonly reason: string;
  /** @default all */
  readonly class?: RetentionClass | undefined;
  /** @default the first event */
  readonly since?: Date | undefined;
  /** @default without an end: events to come as well */
  readonly until?: Date | undefined;
}

/** Places a hold; that is on record. */
export async function placeHold(owner: OwnerConnection, options: HoldOptions): Promise<Hold> {
  const { reason, class: name, since, until } = options;
  return await owner.transaction("COMMIT", async (client) => {
    const { id } = await oneRow<{ id: string }>(client, "SELECT public.seclog_hold($1, $2, $3, $4) AS id", [
      reason,
      name ?? null,
      since ?? null,
      until ?? null,
    ]);
    return await holdOf(client, id);
  });
}

/**
 * Ends a hold; that is on record.
 *
 * @throws SeclogError `SECLOG_REMOVAL` when there is none of the number, or it has ended
 */
export async function releaseHold(owner: OwnerConnection, id: number, reason: string): Promise<Hold> {
  return await owner.transaction("COMMIT", async (client) => {
    const { ended } = await oneRow<{ ended: boolean }>(client, "SELECT public.seclog_release($1, $2) AS ended", [
      id,
      reason,
    ]);
    if (!ended) {
      throw new SeclogError(
        "SECLOG_REMOVAL",
        `there is no hold ${id}, or it has ended: see ${commandLine("hold --list")}`,
      );
    }
    return await holdOf(client, id);
  });
}

/** All holds, those in force first. */
export async function listHolds(owner: OwnerConnection): Promise<readonly Hold[]> {
  return await owner.transaction("ROLLBACK", async (client) => {
    const { rows } = await client.query<Hold>(`${HOLDS} ORDER BY released_at IS NOT NULL, id`);
    return rows;
  });
}

async function holdOf(client: pg.Client, id: string | number): Promise<Hold> {
  return await oneRow<Hold & pg.QueryResultRow>(client, `${HOLDS} WHERE id = $1`, [id]);
}

const time = (column: string): string =>
  `CASE WHEN isfinite(${column}) THEN to_char(${column}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS ${column}`;

const HOLDS = `SELECT id::float8, reason, retention AS class, ${time("since")}, ${time("until")}, ${time("placed_at")}, ${time("released_at")}
  FROM public.security_event_hold`;
