/** The paths of the API: what each takes and returns. The OpenAPI document is made from this table. */
import {
  type CatalogueResult,
  type CountResult,
  type EntityDetail,
  type EventDetail,
  type EventRecord,
  type EventsPage,
  type FacetsResult,
  FIELDS,
  type IntegrityResult,
  printQuery,
  type Query,
  type SourcesResult,
  type TimelineResult,
  type ViewRecord,
  type ViewsResult,
} from "@seclog/api";
import { sql } from "kysely";
import { CATALOGUE, SeclogError } from "seclog";
import { type Database, queriesOf } from "../database/reader.ts";
import { leafOf } from "../integrity/leaf-ranges.ts";
import { proveEvent } from "../integrity/prove.ts";
import { sealProgress, storedCheckpoint } from "../integrity/stored-tree.ts";
import { type AggregateOptions, countFacets, countMatching, countOverTime, countSlices } from "../search/aggregate.ts";
import { TALLY_GROUPS, type TallyGroup } from "../search/count-events.ts";
import { type EventRow, eventObject, readPage } from "../search/event-rows.ts";
import { parseFilter } from "../search/filter.ts";
import { queryOf, readQuery } from "../search/filter-query.ts";
import { searchEvents } from "../search/search-events.ts";
import { sourceStates, sourceTotals } from "../search/sources.ts";
import { quoted } from "../text/words.ts";
import { type Cursor, readCursor, writeCursor } from "./cursor.ts";
import type { Parameters, Values } from "./parameters.ts";

/** What a path needs to respond. */
export interface Context {
  readonly database: Database;
  /** The reader's connection URL, for proofs. */
  readonly url: string;
  /** Aborts when the client has left. */
  readonly signal: AbortSignal;
}

/** A path of the API. */
export interface Route {
  /** Below `/api/v1`; `{name}` is a parameter. */
  readonly path: string;
  readonly about: string;
  readonly parameters: Parameters;
  /** The name of its schema. */
  readonly returns: string;
  readonly respond: (values: Values<Parameters>, context: Context) => Promise<object>;
}

/** A route, with the types of its parameters known to what responds. */
function route<P extends Parameters>(
  path: string,
  about: string,
  returns: string,
  parameters: P,
  respond: (values: Values<P>, context: Context) => Promise<object>,
): Route {
  return { path, about, returns, parameters, respond: respond as Route["respond"] };
}

const SELECTION = {
  q: { type: "string", about: "a query; everything by default" },
  since: { type: "string", about: "the start: 1d, 6h, 2026-11-22T10:30Z" },
  until: { type: "string", about: "the end, in the same forms" },
  budget: {
    type: "integer",
    minimum: 50,
    maximum: 10_000,
    default: 1_000,
    about: "milliseconds after which to return what is found so far",
  },
} as const;

const BEFORE = {
  before: { type: "string", about: "`reached` of an unfinished count, to count only what is older" },
} as const;

const FIELDS_COUNTED: readonly TallyGroup[] = TALLY_GROUPS.filter((group) => group !== "hour");

/** In the order of the document. */
export const ROUTES: readonly Route[] = [
  route(
    "/events",
    "events that match, in pages: what is found within the budget, and where to go on",
    "EventsPage",
    {
      ...SELECTION,
      limit: { type: "integer", minimum: 1, maximum: 1_000, default: 100, about: "the most events" },
      order: { type: "choice", values: ["newest", "oldest"], default: "newest", about: "which first" },
      cursor: { type: "string", about: "`cursor` of the page before" },
    },
    async ({ q, since, until, budget, limit, order, cursor }, { database, signal }): Promise<EventsPage> => {
      const search = JSON.stringify([q, since, until, order]);
      const from: Cursor | undefined = cursor === undefined ? undefined : readCursor(cursor, search);
      const now = from?.now ?? new Date();
      const query = selectionOf({ q, since, until }, now);
      const found = await searchEvents(database, query, {
        order: order === "oldest" ? "oldest" : "newest",
        limit,
        budgetMs: budget,
        position: from?.position,
        signal,
      });
      return {
        events: found.rows.map(record),
        cursor: found.next === undefined ? null : writeCursor({ now, position: found.next }, search),
        reached: found.reached ?? null,
        done: found.next === undefined,
      };
    },
  ),
  route(
    "/events/{id}",
    "an event, its neighbours in its source, and its leaf",
    "EventDetail",
    { id: { type: "string", in: "path", about: "the event's id" } },
    async ({ id }, context): Promise<EventDetail> => {
      const event = await eventById(id, context);
      const { database } = context;
      const near = async (direction: "asc" | "desc"): Promise<readonly EventRecord[]> => {
        const sign = sql.raw(direction === "asc" ? ">" : "<");
        const where = sql<boolean>`source_id = ${event.source_id}::uuid AND seq ${sign} ${event.seq}::bigint`;
        const page = await readPage(database, {
          where,
          order: "number",
          direction,
          limit: NEIGHBOURS,
          after: undefined,
        });
        return page.rows.map(record);
      };
      const leaf = await leafOf(queriesOf(database), event.source_id, String(event.seq));
      return {
        event: record(event),
        before: [...(await near("desc"))].reverse(),
        after: await near("asc"),
        leaf: leaf ?? null,
      };
    },
  ),
  route(
    "/events/{id}/proof",
    "the proof that an event is in the log, which can be checked without the server",
    "EventProof",
    { id: { type: "string", in: "path", about: "the event's id" } },
    ({ id }, { url }) => proveEvent({ url, id }),
  ),
  route(
    "/count",
    "the number of events that match",
    "CountResult",
    { ...SELECTION, ...BEFORE },
    async (values, context): Promise<CountResult> => {
      return await countMatching(context.database, selectionOf(values, new Date()), within(values, context));
    },
  ),
  route(
    "/timeline",
    "how many events match over time",
    "TimelineResult",
    {
      ...SELECTION,
      ...BEFORE,
      buckets: { type: "integer", minimum: 1, maximum: 1_000, default: 60, about: "the most bars" },
      by: { type: "choice", values: ["level", "category", "none"], default: "level", about: "what to tell apart" },
    },
    async (values, context): Promise<TimelineResult> => {
      const by = values.by as "level" | "category" | "none";
      const query = selectionOf(values, new Date());
      const timeline = await countOverTime(context.database, query, {
        ...within(values, context),
        most: values.buckets,
        by,
      });
      return timeline ?? { reached: null, done: true, from: null, to: null, step_seconds: 1, buckets: [] };
    },
  ),
  route(
    "/facets",
    "the most frequent values of fields, among the events that match",
    "FacetsResult",
    {
      ...SELECTION,
      ...BEFORE,
      fields: { type: "string", required: true, about: `a list with commas, of ${FIELDS_COUNTED.join(", ")}` },
      limit: { type: "integer", minimum: 1, maximum: 1_000, default: 10, about: "how many values of each" },
    },
    async (values, context): Promise<FacetsResult> =>
      await countFacets(
        context.database,
        selectionOf(values, new Date()),
        fieldsOf(values.fields),
        values.limit,
        within(values, context),
      ),
  ),
  route(
    "/entities/{kind}/{value}",
    "what the log knows of an address, an actor, a target, a route or a service",
    "EntityDetail",
    {
      kind: { type: "choice", in: "path", values: ["ip", "actor", "target", "route", "service"], about: "what it is" },
      value: { type: "string", in: "path", about: "its value" },
      ...SELECTION,
    },
    async (values, context): Promise<EntityDetail> => {
      const { kind, value } = values;
      // A query's text escapes quotes and backslashes only; JSON would change control characters.
      const own = readQuery(`${kind}="${value.replace(/[\\"]/g, "\\$&")}"`, new Date());
      const query = queryOf({ query: { kind: "and", parts: [own, selectionOf(values, new Date())] } });
      const options = within(values, context);
      const count = await countSlices(context.database, query, options);
      const others = OTHERS.filter((field) => field !== kind);
      const { facets, reached, done } = await countFacets(context.database, query, others, 10, options);
      return { kind, value, query: printQuery(own), ...count, facets, reached, done: done && count.done };
    },
  ),
  route(
    "/sources",
    "the sources of the log, and how far each has come",
    "SourcesResult",
    {
      limit: { type: "integer", minimum: 1, maximum: 1_000, default: 100, about: "the most sources" },
    },
    async ({ limit }, { database }): Promise<SourcesResult> => {
      const { sources: total, quarantined } = await sourceTotals(database);
      return { total, quarantined, sources: await sourceStates(database, limit) };
    },
  ),
  route(
    "/integrity",
    "how far sealing has come, checkpoints, keys, removals and holds",
    "IntegrityResult",
    {},
    (_, { database }) => integrityOf(database),
  ),
  route("/views", "queries with a name", "ViewsResult", {}, async (): Promise<ViewsResult> => ({ views: BUILT_IN })),
  route(
    "/catalogue",
    "the types of events and the fields of queries",
    "CatalogueResult",
    {},
    async (): Promise<CatalogueResult> => ({
      types: Object.entries(CATALOGUE).map(([type, { level, category, outcome, description }]) => ({
        type,
        level,
        category,
        outcome,
        description,
      })),
      fields: FIELDS.map(({ name, kind, about }) => ({ name, kind, about })),
    }),
  ),
];

/** What most people look for first. */
export const BUILT_IN: readonly ViewRecord[] = (
  [
    ["Worth a look", "level>=warning or type:*_successafterfail"],
    ["Failed sign-ins", "type:authn_login_fail,authn_login_fail_max,authn_login_lock"],
    ["Success after failures", "type:*_successafterfail"],
    ["Refused access", "category:authz outcome:failure"],
    ["Wrong methods", "type:illegal_request_method"],
    ["Webhooks", "type:webhook_*"],
    ["The log itself", "category:log"],
  ] as const
).map(([name, query]) => ({
  id: `built-in:${name}`,
  name,
  query,
  since: null,
  columns: null,
  built_in: true,
  owner: null,
}));

/** How many events of the source before and after one. */
const NEIGHBOURS = 5;

/** What an entity's page counts. */
const OTHERS: readonly TallyGroup[] = ["type", "level", "ip", "actor", "route", "agent"];

/** The query of a request. */
function selectionOf(
  {
    q,
    since,
    until,
  }: { readonly q: string | undefined; readonly since: string | undefined; readonly until: string | undefined },
  now: Date,
): Query {
  const times = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
  const query = q === undefined ? {} : { query: readQuery(q, now) };
  return queryOf({ ...parseFilter(times, now), ...query });
}

function within(
  { budget, before }: { readonly budget: number; readonly before?: string | undefined },
  { signal }: Context,
): AggregateOptions {
  if (before !== undefined && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(before))
    throw new SeclogError(
      "SECLOG_CONFIG",
      `before ${quoted(before)} is not a time of the API: pass reached as it was returned`,
    );
  return { budgetMs: budget, signal, before };
}

function fieldsOf(text: string): readonly TallyGroup[] {
  return [...new Set(text.split(","))].map((name) => {
    const known = FIELDS_COUNTED.find((group) => group === name);
    if (known !== undefined) return known;
    throw new SeclogError("SECLOG_CONFIG", `fields: ${quoted(name)} is not one of ${FIELDS_COUNTED.join(", ")}`);
  });
}

function record(row: EventRow): EventRecord {
  return eventObject(row) as unknown as EventRecord;
}

/** No event has the id. */
export class NotFound extends Error {}

/** An event by its id. Seclog's ids begin with the time, which an index finds; others take a search. */
async function eventById(id: string, { database, signal }: Context): Promise<EventRow> {
  const query = readQuery(`id:${JSON.stringify(id)}`, new Date());
  const ms = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  const near = { since: new Date(ms - 1_000), until: new Date(ms + 1_000) };
  const isTime = ms < 253_402_300_000_000;
  for (const filter of [...(isTime ? [{ query, ...near }] : []), { query }]) {
    const { rows } = await searchEvents(database, queryOf(filter), {
      order: "newest",
      limit: 1,
      budgetMs: 10_000,
      signal,
    });
    if (rows[0] !== undefined) return rows[0];
  }
  throw new NotFound(`no event has the id ${id}`);
}

async function integrityOf(database: Database): Promise<IntegrityResult> {
  const queries = queriesOf(database);
  const { size, sealedAt, unsealed, oldestUnsealed } = await sealProgress(queries);
  const checkpoint = await storedCheckpoint(queries);
  const { rows: keys } = await sql<IntegrityResult["keys"][number]>`
    SELECT name, vkey, first_size, last_size FROM security_event_key ORDER BY first_size`.execute(database);
  const { rows: removals } = await sql<IntegrityResult["removals"][number]>`
    SELECT kind, count(DISTINCT own_seq) AS count FROM security_event_removed GROUP BY kind ORDER BY kind`.execute(
    database,
  );
  const { rows: holds } = await sql<{ count: number }>`
    SELECT count(*) AS count FROM security_event_hold WHERE released_at IS NULL`.execute(database);
  return {
    leaves: size,
    sealed_at: sealedAt,
    unsealed: typeof unsealed === "bigint" ? String(unsealed) : unsealed,
    oldest_unsealed_seconds: oldestUnsealed,
    checkpoint:
      checkpoint === undefined
        ? null
        : {
            origin: checkpoint.origin,
            size: checkpoint.size,
            root: Buffer.from(checkpoint.root).toString("base64"),
            note: checkpoint.note,
          },
    keys,
    removals,
    holds: holds[0]?.count ?? 0,
  };
}
