/**
 * Finds the sources with unsealed numbers, and selects what to seal next.
 *
 * A log may have millions of sources, most of them at rest, and some of a writer that tries to block the others. So this never
 * reads them all at once. It walks the sources of each login role in pages, along the index, by the time of their last batch:
 * at every look those that moved within the last minute, and at the first look, and periodically, all of them. It keeps waiting
 * sources in memory up to a bound, and pauses a login's walk beyond it until some of them are sealed.
 *
 * A step is shared among the waiting logins, and each login's share among its sources. Numbers without an event come last and
 * few at a time: honest programs leave none, and a hostile source may have any amount of them.
 */
import type { Client } from "pg";
import { planOnce } from "../../database/session.ts";
import type { NumberRange } from "../leaf-ranges.ts";

/** A source with unsealed numbers. */
interface WaitingSource {
  readonly id: string;
  readonly login: string;
  /** The last sealed number, and the last stored one. */
  sealed: number;
  end: number;
  /** No number of its last turn had an event. */
  empty: boolean;
}

/** The position of a walk: after this source. */
interface Place {
  readonly at: string;
  readonly id: string;
}

/** The walks over one login's sources: over those that moved recently, and periodically over all. */
interface Walks {
  recent: Place | undefined;
  all: Place | "done" | undefined;
  /** The number of its waiting sources, except empty ones. */
  waiting: number;
}

/** The ranges to seal next. */
export interface Selection {
  readonly ranges: readonly NumberRange[];
  /** Whether events remain that can be sealed at once. */
  readonly more: boolean;
}

/** How much later than its timestamp a position may become visible, while its commit waits for a standby. */
const LATE = "60 seconds";
/** The index's expression. Sources of an older log have no login. */
const LOGIN = "coalesce(source.login::text, '')";
/** Sources to look at per page. */
const PAGE = 5_000;
/** Every so many looks, walk all sources again, even those at rest. */
const LOOK_AT_ALL = 60;
/** The most sources to keep in memory. */
const MOST_KNOWN = 100_000;
/** The most numbers of empty sources in a step, and the most such sources. */
const MOST_EMPTY = 1_000;
const MOST_EMPTY_SOURCES = 10;

export class Waiting {
  readonly #sources = new Map<string, WaitingSource>();
  readonly #logins = new Map<string, Walks>();
  #looks = 0;

  /** Reads pages of sources until one has events waiting, all were read, or a second has passed. */
  async look(client: Client): Promise<void> {
    const began = performance.now();
    await this.#findLogins(client);
    if (this.#looks++ % LOOK_AT_ALL === 0) {
      for (const walks of this.#logins.values()) if (walks.all === "done") walks.all = undefined;
    }
    do {
      await this.#page(client);
    } while (this.isWalking && !this.#hasEvents() && performance.now() - began < 1_000);
  }

  /** Selects the next ranges, at most `most` numbers in total. */
  next(most: number): Selection {
    const busy = [...this.#sources.values()].filter(({ empty }) => !empty);
    const empty = [...this.#sources.values()].filter((source) => source.empty).slice(0, MOST_EMPTY_SOURCES);
    const ranges = [...shared(busy, most), ...shared(empty, Math.min(most, MOST_EMPTY))];
    const taken = new Map(ranges.map(({ sourceId, last }) => [sourceId, last]));
    const more = this.isWalking || busy.some(({ id, end }) => (taken.get(id) ?? 0) < end);
    return { ranges, more };
  }

  /** Notes what was sealed. A source that still waits moves behind the others. @param events by range: how many numbers had an event */
  sealed(ranges: readonly NumberRange[], events: readonly number[]): void {
    for (const [index, { sourceId, last }] of ranges.entries()) {
      const source = this.#sources.get(sourceId);
      if (source === undefined) continue;
      this.#sources.delete(sourceId);
      this.#count(source, -1);
      if (last < source.end) this.#keep({ ...source, sealed: last, empty: events[index] === 0 });
    }
    this.#forget();
  }

  /** The waiting numbers of empty sources. */
  get empty(): number {
    let numbers = 0;
    for (const { empty, sealed, end } of this.#sources.values()) if (empty) numbers += end - sealed;
    return numbers;
  }

  /** Seconds since the oldest event known to wait was stored; 0 if none waits. */
  async oldest(client: Client): Promise<number> {
    const waiting = [...this.#sources.values()].filter(({ empty }) => !empty).slice(0, MOST_AGED);
    if (waiting.length === 0) return 0;
    const { rows } = await client.query<{ age: string | null }>({
      ...planOnce(client, "oldest"),
      text: `SELECT extract(epoch FROM clock_timestamp() - min(next.created_at))::text AS age
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS pending (id, sealed, last_seq) CROSS JOIN LATERAL
          (SELECT log.created_at FROM public.security_event_log AS log
            WHERE log.source_id = pending.id AND log.seq > pending.sealed AND log.seq <= pending.last_seq
            ORDER BY log.seq LIMIT 1) AS next`,
      values: [waiting.map(({ id }) => id), waiting.map(({ sealed }) => sealed), waiting.map(({ end }) => end)],
    });
    return Math.max(0, Number(rows[0]?.age ?? 0));
  }

  /** Whether some sources have not been looked at yet. */
  get isWalking(): boolean {
    for (const { all, waiting } of this.#logins.values()) if (all !== "done" && waiting < PAGE) return true;
    return false;
  }

  #hasEvents(): boolean {
    for (const { empty } of this.#sources.values()) if (!empty) return true;
    return false;
  }

  async #findLogins(client: Client): Promise<void> {
    const { rows } = await client.query<{ login: string }>({
      ...planOnce(client, "logins"),
      // Skips along the index from login to login: DISTINCT would read every source.
      text: `WITH RECURSIVE each (login) AS (
          (SELECT ${LOGIN} FROM public.security_event_source AS source ORDER BY ${LOGIN} LIMIT 1)
          UNION ALL
          SELECT (SELECT ${LOGIN} FROM public.security_event_source AS source WHERE ${LOGIN} > each.login
              ORDER BY ${LOGIN} LIMIT 1)
            FROM each WHERE each.login IS NOT NULL)
        SELECT login FROM each WHERE login IS NOT NULL`,
    });
    for (const { login } of rows) {
      if (!this.#logins.has(login)) this.#logins.set(login, { recent: undefined, all: undefined, waiting: 0 });
    }
  }

  /** Reads the next page of each active walk. */
  async #page(client: Client): Promise<void> {
    const walks: { readonly login: string; readonly name: "recent" | "all"; readonly place: Place | undefined }[] = [];
    for (const [login, { recent, all, waiting }] of this.#logins) {
      if (waiting >= PAGE) continue;
      walks.push({ login, name: "recent", place: recent });
      if (all !== "done") walks.push({ login, name: "all", place: all });
    }
    const { rows } = await client.query<PageRow>({
      ...planOnce(client, "waiting"),
      text: PAGE_QUERY,
      values: [
        walks.map(({ login }) => login),
        walks.map(({ name, place }) => place?.at ?? (name === "all" ? "-infinity" : null)),
        walks.map(({ place }) => place?.id ?? "00000000-0000-0000-0000-000000000000"),
      ],
    });
    for (const [index, { login, name }] of walks.entries()) {
      const page = rows.filter(({ walk }) => Number(walk) === index + 1);
      const state = this.#logins.get(login) as Walks;
      const end = page.find(({ is_last }) => is_last);
      // A partial page is the last one of the walk.
      const place = end !== undefined && Number(end.place) === PAGE ? { at: end.updated_at, id: end.id } : undefined;
      if (name === "recent") state.recent = place;
      else state.all = place ?? "done";
      for (const { id, last_seq, sealed } of page) this.#add(id, login, Number(sealed), Number(last_seq));
    }
  }

  #add(id: string, login: string, sealed: number, end: number): void {
    if (end <= sealed) return;
    const known = this.#sources.get(id);
    if (known === undefined) this.#keep({ id, login, sealed, end, empty: false });
    else {
      known.end = Math.max(known.end, end);
      known.sealed = Math.max(known.sealed, sealed);
    }
  }

  #keep(source: WaitingSource): void {
    this.#sources.set(source.id, source);
    this.#count(source, 1);
  }

  /** Does not count empty sources, so that any number of them cannot pause a walk. */
  #count({ login, empty }: WaitingSource, by: number): void {
    const walks = this.#logins.get(login);
    if (walks !== undefined && !empty) walks.waiting += by;
  }

  /** Beyond the bound, drops empty sources, which the next walk over all will find again. */
  #forget(): void {
    let excess = this.#sources.size - MOST_KNOWN;
    for (const { id, empty } of this.#sources.values()) {
      if (excess <= 0) return;
      if (empty && this.#sources.delete(id)) excess--;
    }
  }
}

/** How many sources to search for the oldest event. */
const MOST_AGED = 500;

interface PageRow {
  readonly walk: string;
  readonly place: string;
  readonly id: string;
  readonly updated_at: string;
  readonly last_seq: string;
  readonly sealed: string;
  readonly is_last: boolean;
}

/** Selects the waiting sources of each page, and its last source, which marks the position of the walk. */
const PAGE_QUERY = `SELECT walk::text, place::text, id::text, updated_at::text, last_seq::text, sealed::text, is_last FROM (
    SELECT wanted.walk, source.id, source.updated_at, source.last_seq, coalesce(sealed.last_seq, 0) AS sealed,
        row_number() OVER each AS place, lead(source.id) OVER each IS NULL AS is_last
      FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS wanted (login, at, id, walk)
        CROSS JOIN LATERAL (SELECT source.id, source.updated_at, source.last_seq FROM public.security_event_source AS source
          WHERE ${LOGIN} = wanted.login
            AND (source.updated_at, source.id) > (coalesce(wanted.at, now() - interval '${LATE}'), wanted.id)
          ORDER BY source.updated_at, source.id LIMIT ${PAGE}) AS source
        LEFT JOIN LATERAL (SELECT seal.last_seq FROM public.security_event_seal AS seal
          WHERE seal.source_id = source.id ORDER BY seal.first_seq DESC LIMIT 1) AS sealed ON true
      WINDOW each AS (PARTITION BY wanted.walk ORDER BY source.updated_at, source.id)) AS page
  WHERE last_seq > sealed OR is_last ORDER BY walk, place`;

/** Shares the room among the logins, and each login's share among its sources. */
function shared(sources: readonly WaitingSource[], room: number): NumberRange[] {
  const byLogin = new Map<string, WaitingSource[]>();
  for (const source of sources) {
    const same = byLogin.get(source.login);
    if (same === undefined) byLogin.set(source.login, [source]);
    else if (same.length < room) same.push(source);
  }
  const logins = [...byLogin.values()];
  const count = ({ sealed, end }: WaitingSource): number => end - sealed;
  const rooms = shares(
    logins.map((same) => same.reduce((sum, source) => sum + count(source), 0)),
    room,
  );
  return logins.flatMap((same, index) => {
    const given = shares(same.map(count), rooms[index] ?? 0);
    return same.flatMap(({ id, sealed }, place) => {
      const share = given[place] ?? 0;
      return share === 0 ? [] : [{ sourceId: id, first: sealed + 1, last: sealed + share }];
    });
  });
}

/** Splits `room` fairly: unused shares go to the others, smallest demand first. If there is not one for each, the first ones get it. */
function shares(wanted: readonly number[], room: number): number[] {
  const given = wanted.map(() => 0);
  const asking = wanted.map((count, index) => ({ count, index })).slice(0, room);
  let left = asking.length;
  let free = room;
  for (const { count, index } of asking.sort((a, b) => a.count - b.count)) {
    const share = Math.min(count, Math.floor(free / left));
    given[index] = share;
    free -= share;
    left -= 1;
  }
  return given;
}
