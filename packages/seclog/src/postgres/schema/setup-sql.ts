/**
 * The SQL of setup outside the migrations: roles, the database and access to it. Each statement can run again. Used by
 * `setupDatabase` and by the script that `--print-sql` writes for a DBA.
 */
import { migrations, ownershipSql, privilegesSql } from "./migrations.ts";

/** The role that owns everything. It cannot log in. */
export const OWNER = "seclog_owner";
/** The group whose members may write: `INSERT` and the source functions. */
export const WRITER = "seclog_writer";
/** The group whose members may read. */
export const READER = "seclog_reader";
/** The group whose members may seal: read the columns of leaves, and append to the tree. */
export const SEALER = "seclog_sealer";
/** The group whose members may store what comes out of a queue: `INSERT`, and the position of any source. */
export const RELAY = "seclog_relay";
/** The group whose members may keep the console's users, sessions and views. */
export const CONSOLE = "seclog_console";

const PURPOSES = {
  [OWNER]: "owns the security event log; cannot log in",
  [WRITER]: "may add security events and keep its own sources'' positions, nothing else",
  [READER]: "may read the security event log, nothing else",
  [SEALER]: "may append to the security event log''s Merkle tree, nothing else",
  [RELAY]: "may add security events that come out of a queue and move any source''s position, nothing else",
  [CONSOLE]: "may keep the users, sessions and views of the console, nothing else",
} as const;

/** A login role and its group. */
export interface LoginRole {
  readonly name: string;
  readonly group: typeof WRITER | typeof READER | typeof SEALER | typeof RELAY | typeof CONSOLE;
}

/** The groups. */
export function groupRolesSql(): string[] {
  return Object.entries(PURPOSES).flatMap(([role, purpose]) => [
    `DO $$ BEGIN CREATE ROLE ${role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
    `COMMENT ON ROLE ${role} IS '${purpose}'`,
  ]);
}

/** A login role as a member of its group, without a password. */
export function loginRoleSql({ name, group }: LoginRole): string[] {
  const role = quoteIdentifier(name);
  return [
    `DO $$ BEGIN CREATE ROLE ${role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
    `GRANT ${group} TO ${role}`,
  ];
}

/** UTF8 whatever the cluster's default: an event may contain any text. ownership.sql makes it the owner's. */
export function createDatabaseSql(database: string): string {
  return `CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE template0 ENCODING 'UTF8'`;
}

/** Access to the database and its schema. To run as the owner, in the database. */
export function accessSql(database: string): string[] {
  return [
    `REVOKE ALL ON DATABASE ${quoteIdentifier(database)} FROM PUBLIC`,
    `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${WRITER}, ${READER}, ${SEALER}, ${RELAY}, ${CONSOLE}`,
    ADMIT_SQL,
    "CREATE SCHEMA IF NOT EXISTS public",
    SCHEMA_ACCESS_SQL,
    MIGRATION_TABLE_SQL,
  ];
}

/** An administrator who is not a superuser must be able to connect again: for the next setup, to erase and to prune. */
const ADMIT_SQL = `DO $$
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), session_user);
  END IF;
END $$`;

/** Skipped when the schema belongs to another role: ownership.sql has warned of that. */
const SCHEMA_ACCESS_SQL = `DO $$
BEGIN
  IF pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE') THEN
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO ${WRITER}, ${READER}, ${SEALER}, ${RELAY}, ${CONSOLE};
  END IF;
END $$`;

const MIGRATION_TABLE_SQL = `CREATE TABLE IF NOT EXISTS public.seclog_migration (
  id integer PRIMARY KEY,
  name text NOT NULL,
  breaking boolean NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)`;

/** Options of {@link setupSql}. */
export interface SetupSqlOptions {
  /** @default "seclog" */
  readonly database?: string;
  /** The login role of applications. @default "seclog_app" */
  readonly writer?: string;
  /** The login role of readers. @default "seclog_view" */
  readonly reader?: string;
  /** The login role of the sealer. @default "seclog_seal" */
  readonly sealer?: string;
  /** The login role of `seclog work`, which only a queue needs. @default "seclog_work" */
  readonly relay?: string;
  /** The login role of the console, which only one with users of its own needs. @default "seclog_sign_in" */
  readonly console?: string;
}

/**
 * All of setup as a script for `psql`, for a DBA to read and run. It contains no secret, and can run again.
 */
export function setupSql(options: SetupSqlOptions = {}): string {
  const database = options.database ?? "seclog";
  const writer: LoginRole = { name: options.writer ?? "seclog_app", group: WRITER };
  const reader: LoginRole = { name: options.reader ?? "seclog_view", group: READER };
  const sealer: LoginRole = { name: options.sealer ?? "seclog_seal", group: SEALER };
  const relay: LoginRole = { name: options.relay ?? "seclog_work", group: RELAY };
  const consoleLogin: LoginRole = { name: options.console ?? "seclog_sign_in", group: CONSOLE };
  const logins = [writer, reader, sealer, relay, consoleLogin];
  const statements = (list: readonly string[]): string => list.map((sql) => `${sql};\n`).join("");
  const name = quoteLiteral(database);
  return `-- Sets up the Seclog security event log. Run with psql as a superuser, or as a role with CREATEROLE and CREATEDB:
--   psql --set ON_ERROR_STOP=1 --file THIS_FILE postgres
-- It can run again: existing objects stay.
\\set ON_ERROR_STOP 1

-- Roles
${statements([...groupRolesSql(), ...logins.flatMap(loginRoleSql)])}\
-- Give the login roles their passwords with psql's \\password, which does not send them in the clear. Only a queue needs the
-- fourth one, and only a console with users of its own the fifth:
${logins.map(({ name }) => `--   \\password ${quoteIdentifier(name)}\n`).join("")}\

-- Database
SELECT ${quoteLiteral(createDatabaseSql(database))}
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = ${name}) \\gexec
\\connect ${quoteIdentifier(database)}
SELECT NOT rolsuper AS borrow FROM pg_roles WHERE rolname = current_user \\gset
BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '30s';
\\if :borrow
GRANT ${OWNER} TO CURRENT_USER;
\\endif

-- Ownership
${ownershipSql().trimEnd()}
SET LOCAL ROLE ${OWNER};
${statements(accessSql(database))}\
SELECT coalesce(max(id), 0) AS before FROM public.seclog_migration \\gset

${migrations()
  .map(
    (migration) => `-- Migration ${migration.id}
SELECT NOT EXISTS (SELECT FROM public.seclog_migration WHERE id = ${migration.id}) AS apply \\gset
\\if :apply
${migration.sql.trimEnd()}
${recordMigrationSql(migration)};
\\endif
`,
  )
  .join("\n")}
-- Privileges, unless a newer program set this database up: this script would revoke grants that it does not know.
SELECT NOT EXISTS (SELECT FROM public.seclog_migration WHERE id > ${migrations().at(-1)?.id ?? 0}) AS known \\gset
\\if :known
${privilegesSql().trimEnd()}
\\else
\\warn 'warning: the database was set up by a newer seclog: its privileges and triggers were left as they are'
\\endif
SELECT public.seclog_own_event('log_setup',
    format('{"migrations":[%s],"version":%s}', string_agg(to_json(name)::text, ',' ORDER BY id), max(id)))
  FROM public.seclog_migration WHERE id > :before HAVING count(*) > 0;
SET LOCAL ROLE NONE;
\\if :borrow
REVOKE ${OWNER} FROM CURRENT_USER;
\\endif
COMMIT;

-- Partitions ahead
BEGIN;
\\if :borrow
GRANT ${OWNER} TO CURRENT_USER;
\\endif
SET LOCAL ROLE ${OWNER};
SELECT public.seclog_make_partitions();
SET LOCAL ROLE NONE;
\\if :borrow
REVOKE ${OWNER} FROM CURRENT_USER;
\\endif
COMMIT;
`;
}

/** Records that a migration was applied. */
export function recordMigrationSql(migration: {
  readonly id: number;
  readonly name: string;
  readonly breaking: boolean;
  readonly checksum: string;
}): string {
  const { id, name, breaking, checksum } = migration;
  return `INSERT INTO public.seclog_migration (id, name, breaking, checksum)
  VALUES (${id}, ${quoteLiteral(name)}, ${breaking}, ${quoteLiteral(checksum)})`;
}

/** Quotes a name. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text, safely even with `standard_conforming_strings` off. */
function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return doubled.includes("\\") ? ` E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}
