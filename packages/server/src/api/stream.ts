/**
 * New events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each item's id is a
 * time of the database's clock. A client that comes back with it gets what was stored since, some events twice: a
 * transaction may become visible a while after the time of its rows.
 */
import type { Query } from "@seclog/api";
import { sql } from "kysely";
import { SeclogError } from "seclog";
import type { Database } from "../database/reader.ts";
import { EventFollower } from "../search/event-follower.ts";
import { type EventRow, eventObject, readPage, timeText } from "../search/event-rows.ts";
import { followEvents } from "../search/follow-events.ts";
import { querySql } from "../search/query-sql.ts";

export interface StreamOptions {
  readonly database: Database;
  readonly query: Query;
  /** The id after which to go on. */
  readonly lastId: string | undefined;
  readonly signal: AbortSignal;
  /** The pause between two looks, in milliseconds. */
  readonly intervalMs: number;
}

/** How much later than its rows' time a transaction may become visible. */
const LATE_SECONDS = 60;

/** After a longer absence, a search is better than a replay. */
const MOST_SECONDS = 3_600;
const MOST_EVENTS = 5_000;

/** A comment after so long without an event, so that both ends notice a lost connection. */
const QUIET_MS = 15_000;

/** The items, each as text, until the signal aborts. */
export async function* streamEvents(options: StreamOptions): AsyncGenerator<string> {
  const { database, query, lastId, signal, intervalMs } = options;
  const follower = new EventFollower(database, { query });
  await follower.begin(0);
  let id = await clock(database);
  yield item("ready", id, "{}");
  if (lastId !== undefined) {
    const missed = await since(database, query, lastId);
    if (missed === undefined) yield item("gap", id, "{}");
    else if (missed.length > 0) yield events(id, missed);
  }
  for await (const rows of quietly(followEvents(follower, { intervalMs, signal }), QUIET_MS)) {
    if (rows === undefined) {
      yield ": quiet\n\n";
      continue;
    }
    id = rows.reduce((latest, { created_at }) => (created_at > latest ? created_at : latest), id);
    yield events(id, rows);
  }
}

function events(id: string, rows: readonly EventRow[]): string {
  return item("events", id, JSON.stringify(rows.map(eventObject)));
}

/** JSON has no line ends, which would end the data. */
function item(kind: string, id: string, data: string): string {
  return `event: ${kind}\nid: ${id}\ndata: ${data}\n\n`;
}

async function clock(database: Database): Promise<string> {
  const { rows } = await sql<{ now: string }>`SELECT ${timeText("now")} AS now FROM now() AS now`.execute(database);
  return rows[0]?.now ?? "";
}

/** The matching events stored since an id; `undefined` if that is too long ago, or they are too many. */
async function since(database: Database, query: Query, id: string): Promise<readonly EventRow[] | undefined> {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(id))
    throw new SeclogError(
      "SECLOG_CONFIG",
      `Last-Event-ID ${JSON.stringify(id.slice(0, 60))} is not an id of this stream: connect without it`,
    );
  if (Date.parse(await clock(database)) - Date.parse(id) > MOST_SECONDS * 1000) return undefined;
  const stored = sql`created_at >= ${id}::timestamptz - make_interval(secs => ${LATE_SECONDS}::integer)`;
  const where = sql<boolean>`${querySql(query)} AND ${stored}`;
  const page = await readPage(database, {
    where,
    order: "time",
    direction: "asc",
    limit: MOST_EVENTS,
    after: undefined,
  });
  return page.complete && page.rows.length < MOST_EVENTS ? page.rows : undefined;
}

/** Yields `undefined` whenever nothing came for a while. */
async function* quietly<T>(items: AsyncGenerator<T>, quietMs: number): AsyncGenerator<T | undefined> {
  for (let next = items.next(); ; ) {
    let timer: NodeJS.Timeout | undefined;
    const quiet = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), quietMs);
    });
    const result = await Promise.race([next, quiet]).finally(() => clearTimeout(timer));
    if (result === undefined) {
      yield undefined;
      continue;
    }
    if (result.done) return;
    yield result.value;
    next = items.next();
  }
}
