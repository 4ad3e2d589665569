/**
 * What OWASP ASVS 5.0 asks for in 16.1.1: an inventory of what is logged, where it is stored, who has access to it, for
 * how long it is kept, and what shows that it was changed. As the database has it, not as somebody meant it to be.
 */
import { sql } from "kysely";
import { CATALOGUE, type EventDefinition } from "seclog";
import { type Database, queriesOf } from "../database/reader.ts";

/** A type of event that the log has. */
export interface InventoriedType {
  readonly type: string;
  readonly category: string;
  readonly events: number;
  readonly first: string;
  readonly last: string;
  /** The loggers that record it, by name. */
  readonly loggers: readonly string[];
  readonly services: readonly string[];
  readonly retention: readonly string[];
  /** Whether it is in the catalogue; otherwise the application defines it. */
  readonly catalogued: boolean;
}

/** A login with rights on the log. */
export interface InventoriedLogin {
  readonly login: string;
  /** What it may do: `writer`, `reader`, `sealer`, `relay`, `console`, `owner`; `superuser` may do everything. */
  readonly may: readonly string[];
}

export interface Inventory {
  readonly types: readonly InventoriedType[];
  /** Where the log is stored. */
  readonly database: { readonly name: string; readonly server: string; readonly bytes: number };
  /** How the reader's own connection is encrypted; `null` if it is not. */
  readonly tls: string | null;
  readonly logins: readonly InventoriedLogin[];
  /** The class of each category with a setting of its own. */
  readonly retention: readonly { readonly category: string; readonly class: string }[];
  readonly holds: number;
  /** The seal: how many events, and when it was signed last; `null` if nothing is sealed. */
  readonly sealed: { readonly events: number; readonly at: string; readonly log: string } | null;
  readonly sources: number;
}

const TIME = `'YYYY-MM-DD"T"HH24:MI:SS"Z"'`;

/** Makes the inventory, as the reader. It counts every event, so it may take as long as `stats`. */
export async function inventory(database: Database): Promise<Inventory> {
  const { query } = queriesOf(database);
  const first = async <Row>(text: string): Promise<Row | undefined> => (await query(text)).rows[0] as Row | undefined;
  const types = await database
    .selectFrom("security_event_log")
    .select([
      "event_type as type",
      sql<string>`min(category)`.as("category"),
      sql<string>`count(*)`.as("events"),
      sql<string>`to_char(min(occurred_at) AT TIME ZONE 'UTC', ${sql.raw(TIME)})`.as("first"),
      sql<string>`to_char(max(occurred_at) AT TIME ZONE 'UTC', ${sql.raw(TIME)})`.as("last"),
      sql<string[]>`array_agg(DISTINCT logger)`.as("loggers"),
      sql<string[]>`coalesce(array_agg(DISTINCT service) FILTER (WHERE service IS NOT NULL), '{}')`.as("services"),
      sql<string[]>`array_agg(DISTINCT retention)`.as("retention"),
    ])
    .groupBy("event_type")
    .orderBy(sql`count(*)`, "desc")
    .execute();
  const place = await first<{ name: string; server: string; bytes: string; tls: string | null; sources: string }>(
    `SELECT current_database() AS name, current_setting('server_version') AS server,
        pg_database_size(current_database())::text AS bytes,
        (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
        (SELECT count(*)::text FROM public.security_event_source) AS sources`,
  );
  const { rows: logins } = await query(
    `SELECT r.rolname AS login, r.rolsuper AS "all",
        coalesce(array_agg(g.rolname::text ORDER BY g.rolname) FILTER (WHERE g.oid IS NOT NULL), '{}') AS groups
      FROM pg_roles r
      LEFT JOIN pg_roles g ON g.rolname ~ '^seclog_(owner|writer|reader|sealer|relay|console)$' AND g.oid <> r.oid
        AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')
      WHERE r.rolcanlogin GROUP BY r.oid, r.rolname, r.rolsuper
      HAVING r.rolsuper OR count(g.oid) > 0 ORDER BY r.rolname`,
  );
  const { rows: retention } = await query(
    "SELECT category, retention AS class FROM public.security_event_retention ORDER BY category",
  );
  const holds = await first<{ count: string }>(
    "SELECT count(*)::text AS count FROM public.security_event_hold WHERE released_at IS NULL",
  );
  const sealed = await first<{ events: string; at: string; log: string }>(
    `SELECT size::text AS events, origin AS log, to_char(created_at AT TIME ZONE 'UTC', ${TIME}) AS at
      FROM public.security_event_checkpoint ORDER BY size DESC LIMIT 1`,
  );
  return {
    types: types.map(({ events, ...row }) => ({ ...row, events: Number(events), catalogued: isCatalogued(row.type) })),
    database: { name: place?.name ?? "", server: place?.server ?? "", bytes: Number(place?.bytes) },
    tls: place?.tls ?? null,
    logins: (logins as readonly LoginRow[]).map(({ login, all, groups }) => ({
      login,
      may: all ? ["superuser"] : groups.map((group) => group.replace("seclog_", "")),
    })),
    retention: retention as unknown as Inventory["retention"],
    holds: Number(holds?.count),
    sealed: sealed === undefined ? null : { ...sealed, events: Number(sealed.events) },
    sources: Number(place?.sources),
  };
}

interface LoginRow {
  readonly login: string;
  readonly all: boolean;
  readonly groups: readonly string[];
}

function isCatalogued(type: string): boolean {
  return (CATALOGUE as { readonly [name: string]: EventDefinition })[type] !== undefined;
}
