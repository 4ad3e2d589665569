/** The sources of the log: how far each has come, and how many there are. */
import { sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { timeText } from "./event-rows.ts";

/** A source: one log in one process, as recorded in the database. */
export interface SourceState {
  readonly id: string;
  /** Whether this is the log's own source, with the events of its setup and of removals. */
  readonly own: boolean;
  readonly service: string | null;
  readonly host: string | null;
  readonly epoch: number;
  readonly last_seq: number;
  readonly quarantined: number;
  readonly opened_at: string;
  readonly updated_at: string;
  readonly last_heartbeat: string | null;
}

/** The most recently active sources, with the service and host of their newest event. */
export async function sourceStates(database: Database, limit: number): Promise<readonly SourceState[]> {
  return await database
    .with("latest", (db) =>
      db.selectFrom("security_event_source").selectAll().orderBy("updated_at", "desc").limit(limit),
    )
    .selectFrom("latest")
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom("security_event_log")
          .select(["service", "host"])
          .whereRef("source_id", "=", "latest.id")
          .whereRef("seq", "<=", "latest.last_seq")
          .orderBy("seq", "desc")
          .limit(1)
          .as("newest"),
      (join) => join.onTrue(),
    )
    .select([
      "latest.id",
      sql<boolean>`latest.id = (SELECT own_source FROM security_event_tree)`.as("own"),
      "newest.service",
      "newest.host",
      "latest.epoch",
      "latest.last_seq",
      sql<number>`(SELECT count(*) FROM security_event_quarantine q WHERE q.source_id = latest.id)`.as("quarantined"),
      timeText("latest.opened_at").as("opened_at"),
      timeText("latest.updated_at").as("updated_at"),
      sql<string | null>`(
        SELECT to_char(max(e.occurred_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        FROM security_event_log e
        WHERE e.event_type = 'log_heartbeat' AND e.source_id = latest.id AND e.occurred_at >= latest.opened_at - interval '1 hour')`.as(
        "last_heartbeat",
      ),
    ])
    .orderBy("latest.updated_at", "desc")
    .execute();
}

/** The totals over all sources. */
export interface SourceTotals {
  readonly sources: number;
  /** Events that could not be stored and wait in quarantine for review. */
  readonly quarantined: number;
}

export async function sourceTotals(database: Database): Promise<SourceTotals> {
  return await database
    .selectNoFrom([
      sql<number>`(SELECT count(*) FROM security_event_source)`.as("sources"),
      sql<number>`(SELECT count(*) FROM security_event_quarantine)`.as("quarantined"),
    ])
    .executeTakeFirstOrThrow();
}
