/** The access that each role should have, and how the connected role differs from it. */
import { RUN_SETUP } from "../advice.ts";
import { CONSOLE, OWNER, READER, RELAY, SEALER, WRITER } from "./setup-sql.ts";

/** Runs a query: pg's Client and Pool have this shape. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** The schema's functions, and the groups that may call them. */
const FUNCTIONS: readonly (readonly [signature: string, roles: readonly string[]])[] = [
  ["public.seclog_open_source(uuid, integer, text)", [WRITER]],
  ["public.seclog_advance(uuid, integer, text, bigint, bigint)", [WRITER]],
  ["public.seclog_quarantine(uuid, integer, text, bigint, text, bytea)", [WRITER]],
  ["public.seclog_confirm(uuid, integer, text, bigint, uuid[], timestamptz[], text[])", [WRITER]],
  ["public.seclog_ensure_partitions(integer)", [WRITER]],
  ["public.seclog_describe()", [WRITER, READER, SEALER, RELAY, CONSOLE]],
  ["public.seclog_relay_position(uuid)", [RELAY]],
  ["public.seclog_relay_open(uuid, integer, bytea, text)", [RELAY]],
  ["public.seclog_relay_advance(uuid, bytea, bigint, bigint)", [RELAY]],
  ["public.seclog_relay_quarantine(uuid, bytea, bigint, text, bytea)", [RELAY]],
  ["public.seclog_relay_confirm(uuid, bytea, bigint, uuid[], timestamptz[], text[])", [RELAY]],
  ["public.seclog_relay_pass(uuid, bytea, bigint, bigint, text)", [RELAY]],
  ["public.seclog_relay_dropped(text, bigint, bytea[], text)", [RELAY]],
  [
    "public.seclog_seal(bigint, bytea, bigint, bytea, text, bigint, text, text, uuid[], bigint[], bigint[], smallint[], bigint[], bytea[])",
    [SEALER],
  ],
  ["public.seclog_rotate_key(bigint, bytea, text, bigint, text, text)", [SEALER]],
  ["public.seclog_cosign(bigint, text, bigint, text)", [SEALER]],
  ["public.seclog_take_turn(uuid, double precision)", [SEALER]],
  ["public.seclog_make_partitions(integer)", [SEALER]],
  ["public.seclog_roll(bigint)", [SEALER]],
  ["public.seclog_unroll()", []],
  ["public.seclog_removal_digest(bigint)", [READER]],
  ["public.seclog_open(uuid, integer, bytea, text)", []],
  ["public.seclog_move(uuid, integer, bytea, bigint, bigint)", []],
  ["public.seclog_set_aside(uuid, integer, bytea, bigint, text, bytea)", []],
  ["public.seclog_find(uuid, integer, bytea, bigint, uuid[], timestamptz[], text[])", []],
  ["public.seclog_add_partition(text, timestamptz)", []],
  ["public.seclog_own_event(text, text)", []],
  ["public.seclog_next_own_seq()", []],
  ["public.seclog_erase(text, text, inet, uuid[], timestamptz, timestamptz, text, boolean)", []],
  ["public.seclog_prune(text, timestamptz, text)", []],
  ["public.seclog_hold(text, text, timestamptz, timestamptz)", []],
  ["public.seclog_release(bigint, text)", []],
  ["public.seclog_keep(text, text)", []],
];

const CHANGE = "SELECT, INSERT, UPDATE, DELETE";

/** The privileges of each group on each table. A group that is not listed has none. */
const TABLES: { readonly [table: string]: { readonly [group: string]: string } } = {
  seclog_console_user: { [CONSOLE]: CHANGE },
  seclog_console_session: { [CONSOLE]: CHANGE },
  seclog_console_code: { [CONSOLE]: CHANGE },
  seclog_console_view: { [CONSOLE]: CHANGE },
  security_event_log: { [WRITER]: "INSERT", [RELAY]: "INSERT", [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_source: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_quarantine: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_retention: { [READER]: "SELECT" },
  security_event_seal: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_tile: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_checkpoint: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_signature: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_key: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_removed: { [READER]: "SELECT" },
  security_event_hold: { [READER]: "SELECT" },
  security_event_rollup: { [READER]: "SELECT" },
  security_event_rolled: { [READER]: "SELECT" },
  security_event_tree: { [READER]: "SELECT", [SEALER]: "SELECT" },
  security_event_sealer: {},
  seclog_migration: { [READER]: "SELECT", [SEALER]: "SELECT" },
};

/** The purpose of a connection. */
export type AccessRole = "writer" | "reader" | "sealer" | "relay" | "console";

const GROUPS: { readonly [R in AccessRole]: string } = {
  writer: WRITER,
  reader: READER,
  sealer: SEALER,
  relay: RELAY,
  console: CONSOLE,
};

/**
 * The privileges that the connected role has and should not, or should have and lacks, in words. Empty when exactly
 * right.
 *
 * @param expected the role's purpose
 */
export async function accessProblems(connection: Queryable, expected: AccessRole): Promise<string[]> {
  const group = GROUPS[expected];
  const problems: string[] = [];
  const [role] = (
    await connection.query(
      `SELECT current_user AS name, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
          COALESCE((SELECT array_agg(r.rolname::text ORDER BY r.rolname) FROM pg_roles r
            WHERE r.rolname = ANY($1) AND pg_has_role(current_user, r.oid, 'MEMBER')), '{}') AS groups
        FROM pg_roles WHERE rolname = current_user`,
      [[OWNER, WRITER, READER, SEALER, RELAY, CONSOLE]],
    )
  ).rows as [{ name: string; groups: string[] } & { [attribute: string]: boolean }];
  const name = role.name;
  for (const [attribute, word] of Object.entries(ATTRIBUTES)) {
    if (role[attribute] === true) problems.push(`${name} is ${word}`);
  }
  if (role["rolsuper"] === true) return problems;
  if (!role.groups.includes(group)) problems.push(`${name} is not a member of ${group}: ${RUN_SETUP}`);
  for (const other of role.groups) if (other !== group) problems.push(`${name} is also a member of ${other}`);

  const tables = (
    await connection.query(
      `SELECT relname AS table, privilege,
          has_table_privilege(c.oid, privilege) OR
            (privilege IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege(c.oid, privilege)) AS held
        FROM pg_class c, unnest($2::text[]) AS privilege
        WHERE relnamespace = 'public'::regnamespace AND relname = ANY($1)`,
      [Object.keys(TABLES), ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]],
    )
  ).rows as { table: string; privilege: string; held: boolean }[];
  for (const table of Object.keys(TABLES)) {
    if (!tables.some((row) => row.table === table)) problems.push(`the table ${table} is missing: ${RUN_SETUP}`);
  }
  for (const { table, privilege, held } of tables) {
    const allowed = TABLES[table]?.[group]?.split(", ").includes(privilege) ?? false;
    if (held !== allowed) problems.push(`${name} may ${allowed ? "not " : ""}${privilege} on ${table}`);
  }
  const functions = (
    await connection.query(
      `SELECT signature, to_regprocedure(signature) IS NOT NULL AS exists,
          COALESCE(has_function_privilege(to_regprocedure(signature), 'EXECUTE'), false) AS held
        FROM unnest($1::text[]) AS signature`,
      [FUNCTIONS.map(([signature]) => signature)],
    )
  ).rows as { signature: string; exists: boolean; held: boolean }[];
  for (const { signature, exists, held } of functions) {
    const allowed = FUNCTIONS.find(([known]) => known === signature)?.[1].includes(group) ?? false;
    if (!exists) problems.push(`the function ${signature} is missing: ${RUN_SETUP}`);
    else if (held !== allowed) problems.push(`${name} may ${allowed ? "not " : ""}call ${signature}`);
  }
  return problems;
}

const ATTRIBUTES = {
  rolsuper: "a superuser: it can change the log",
  rolcreaterole: "allowed to create roles",
  rolcreatedb: "allowed to create databases",
  rolreplication: "allowed to replicate",
  rolbypassrls: "allowed to bypass row security",
} as const;
