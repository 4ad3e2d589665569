/**
 * Which sources have numbers that are not sealed, and whose turn it is.
 *
 * A log may know millions of sources, most of them at rest, and some of a writer that wants to be in the others' way. So nothing
 * here reads them all at once. The sources of each login role are walked in pages, along the index, by the time of their last
 * batch: what moved within the last minute at every look, all of them at the first look and then once in a while. What is found
 * to wait is kept in memory, up to a bound; a login beyond it is not walked further until some of that is sealed.
 *
 * Room in a step is shared among the logins that wait, and then among each login's sources. Numbers without an event come last
 * and few at a time: honest programs leave none, and a source may have any amount of them.
 */
import type { Client } from "pg";
import { planOnce } from "../../database/session.ts";
import type { NumberRange } from "../leaf-ranges.ts";

/** A source with numbers that wait. */
interface WaitingSource {
  readonly id: string;
  readonly login: string;
  /** The last number that is sealed, and the last that is stored. */
  sealed: number;
  end: number;
  /** In its last turn not one number had an event. */
  empty: boolean;
}

/** Where a walk stands: behind this source. */
interface Place {
  readonly at: string;
  readonly id: string;
}

/** The walks over the sources of one login: over those that moved lately, and now and then over all. */
interface Walks {
  recent: Place | undefined;
  all: Place | "done" | undefined;
  /** Its sources that are known to wait, without those that have shown no event. */
  waiting: number;
}

/** What is to be sealed next. */
export interface Selection {
  readonly ranges: readonly NumberRange[];
  /** Whether events remain that can be sealed at once. */
  readonly more: boolean;
}

/** A position may become visible this much later than it says, while its commit waits for a standby. */
const LATE = "60 seconds";
/** As the index has it: it is not known who opened the sources of an older log. */
const LOGIN = "coalesce(source.login::text, '')";
/** Sources that are looked at at a time. */
const PAGE = 5_000;
/** How many looks after the last sources at rest are walked through again. */
const LOOK_AT_ALL = 60;
/** Sources that are kept in mind. */
const MOST_KNOWN = 100_000;
/** The most numbers in a step that have no event as far as is known, and of how many sources. */
const MOST_EMPTY = 1_000;
const MOST_EMPTY_SOURCES = 10;

export class Waiting {
  readonly #sources = new Map<string, WaitingSource>();
  readonly #logins = new Map<string, Walks>();
  #looks = 0;

  /** Looks at the next sources: at several pages, until something waits, all were looked at, or a second has passed. */
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

  /** The next ranges, at most `most` numbers together. */
  next(most: number): Selection {
    const busy = [...this.#sources.values()].filter(({ empty }) => !empty);
    const empty = [...this.#sources.values()].filter((source) => source.empty).slice(0, MOST_EMPTY_SOURCES);
    const ranges = [...shared(busy, most), ...shared(empty, Math.min(most, MOST_EMPTY))];
    const taken = new Map(ranges.map(({ sourceId, last }) => [sourceId, last]));
    const more = this.isWalking || busy.some(({ id, end }) => (taken.get(id) ?? 0) < end);
    return { ranges, more };
  }

  /** Notes what was sealed. Who has had a turn and still waits stands behind the others. @param events by range: how many had one */
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

  /** Numbers that wait in sources whose last turn had not one event. */
  get empty(): number {
    let numbers = 0;
    for (const { empty, sealed, end } of this.#sources.values()) if (empty) numbers += end - sealed;
    return numbers;
  }

  /** Seconds since the oldest event was stored that is known to wait; 0 when none is. */
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

  /** Whether there are sources that nobody has looked at yet. */
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
      // One after the other along the index: DISTINCT would read every source.
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

  /** One page of each walk that is to go on. */
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
      // A page that is not full is the walk's last.
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

  /** Those without an event hold up no walk, however many they are. */
  #count({ login, empty }: WaitingSource, by: number): void {
    const walks = this.#logins.get(login);
    if (walks !== undefined && !empty) walks.waiting += by;
  }

  /** Beyond a bound, sources without an event are left to the next walk over all. */
  #forget(): void {
    let excess = this.#sources.size - MOST_KNOWN;
    for (const { id, empty } of this.#sources.values()) {
      if (excess <= 0) return;
      if (empty && this.#sources.delete(id)) excess--;
    }
  }
}

/** Of how many sources the oldest event is looked for. */
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

/** Of each page: what waits, and its last source, which says where the walk is. */
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

/** A share of the room for each login, and of that for each of its sources. */
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

/** What one does not need of its share the others get, the one that needs least first. Where there is not one for each, the first get one. */
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
