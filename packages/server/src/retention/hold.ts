/** Holds protect events from erasure and pruning for as long as a case requires. */
import type pg from "pg";
import { SeclogError } from "seclog";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import type { OwnerConnection } from "../database/owner.ts";
import { quoted } from "../text/words.ts";
import { requireReason, requireSpan } from "./checks.ts";
import { type RetentionClass, requireClass } from "./classes.ts";

/** A hold by column. Times are UTC, in the form of RFC 3339; `null` means unbounded. */
export interface Hold {
  readonly id: number;
  readonly reason: string;
  /** `null` for all classes. */
  readonly class: string | null;
  readonly since: string | null;
  readonly until: string | null;
  readonly placed_at: string;
  /** `null` while in force. */
  readonly released_at: string | null;
}

/** The events to hold, and the reason. */
export interface HoldOptions {
  readonly reason: string;
  /** @default all */
  readonly class?: RetentionClass | undefined;
  /** @default the first event */
  readonly since?: Date | undefined;
  /** @default unbounded: covers future events */
  readonly until?: Date | undefined;
}

/** Places a hold and records it. @throws SeclogError `SECLOG_CONFIG` for a wrong reason, class or span */
export async function placeHold(owner: OwnerConnection, options: HoldOptions): Promise<Hold> {
  const { reason, class: name, since, until } = options;
  requireReason(reason);
  if (name !== undefined) requireClass(name);
  requireSpan(since, until);
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
 * Releases a hold and records that.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a wrong number or reason; `SECLOG_REMOVAL` if no hold has the number, or it was
 * already released
 */
export async function releaseHold(owner: OwnerConnection, id: number, reason: string): Promise<Hold> {
  if (!Number.isSafeInteger(id) || id < 1) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${quoted(String(id))} is not the number of a hold: see ${commandLine("hold --list")}`,
    );
  }
  requireReason(reason);
  return await owner.transaction("COMMIT", async (client) => {
    const { released } = await oneRow<{ released: boolean }>(
      client,
      "SELECT public.seclog_release($1, $2) AS released",
      [id, reason],
    );
    if (!released) {
      throw new SeclogError(
        "SECLOG_REMOVAL",
        `hold ${id} does not exist or was already released: see ${commandLine("hold --list")}`,
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
