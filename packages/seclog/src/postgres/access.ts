import { READER, WRITER } from "./setup-sql.ts";

/** What runs a query: pg's Client and Pool have this shape. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** Functions of the schema, and who may call them. */
const FUNCTIONS: readonly (readonly [signature: string, roles: readonly string[]])[] = [
  ["public.seclog_open_source(uuid, integer, text)", [WRITER]],
  ["public.seclog_advance(uuid, integer, text, bigint, bigint)", [WRITER]],
  ["public.seclog_quarantine(uuid, integer, text, bigint, text, bytea)", [WRITER]],
  ["public.seclog_ensure_partitions(integer)", [WRITER]],
  ["public.seclog_describe()", [WRITER, READER]],
  ["public.seclog_add_partition(text, timestamptz)", []],
];

const TABLES = [
  "security_event_log",
  "security_event_source",
  "security_event_quarantine",
  "security_event_retention",
  "seclog_migration",
] as const;

/**
 * What the connected role may do that it should not, or may not and should, in words. Empty when it is exactly right.
 *
 * @param expected what the role is for
 */
export async function accessProblems(connection: Queryable, expected: "writer" | "reader"): Promise<string[]> {
  const group = expected === "writer" ? WRITER : READER;
  const problems: string[] = [];
  const [role] = (
    await connection.query(
      `SELECT current_user AS name, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
          COALESCE((SELECT array_agg(r.rolname::text ORDER BY r.rolname) FROM pg_roles r
            WHERE r.rolname LIKE 'seclog\\_%' AND pg_has_role(current_user, r.oid, 'MEMBER')), '{}') AS groups
        FROM pg_roles WHERE rolname = current_user`,
    )
  ).rows as [{ name: string; groups: string[] } & { [attribute: string]: boolean }];
  const name = role.name;
  for (const [attribute, word] of Object.entries(ATTRIBUTES)) {
    if (role[attribute] === true) problems.push(`${name} is ${word}`);
  }
  if (role["rolsuper"] === true) return problems;
  if (!role.groups.includes(group)) problems.push(`${name} is no member of ${group}: run seclog setup`);
  for (const other of role.groups) if (other !== group) problems.push(`${name} is a member of ${other} too`);

  const tables = (
    await connection.query(
      `SELECT relname AS table, privilege,
          has_table_privilege(c.oid, privilege) OR
            (privilege IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege(c.oid, privilege)) AS held
        FROM pg_class c, unnest($2::text[]) AS privilege
        WHERE relnamespace = 'public'::regnamespace AND relname = ANY($1)`,
      [TABLES, ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]],
    )
  ).rows as { table: string; privilege: string; held: boolean }[];
  for (const table of TABLES) {
    if (!tables.some((row) => row.table === table)) problems.push(`the table ${table} is missing: run seclog setup`);
  }
  for (const { table, privilege, held } of tables) {
    const due =
      expected === "writer" ? privilege === "INSERT" && table === "security_event_log" : privilege === "SELECT";
    if (held !== due) problems.push(`${name} may ${due ? "not " : ""}${privilege} on ${table}`);
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
    const due = FUNCTIONS.find(([known]) => known === signature)?.[1].includes(group) ?? false;
    if (!exists) problems.push(`the function ${signature} is missing: run seclog setup`);
    else if (held !== due) problems.push(`${name} may ${due ? "not " : ""}call ${signature}`);
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
