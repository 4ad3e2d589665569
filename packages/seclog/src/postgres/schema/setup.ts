/** Setup of the database, from the roles to the partitions. It can run again, and restores what was changed since. */
import type { Client } from "pg";
import { errorMessage, SeclogError } from "../../event/errors.ts";
import { canonicalJson } from "../../event/json.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../../event/options.ts";
import { checkName, connectionConfig, type TlsOption } from "../connection-config.ts";
import { errorCode, poolerAdvice } from "../failure.ts";
import { checkSchemaVersion } from "../schema-version.ts";
import { borrowOwner } from "./borrow-owner.ts";
import { migrations, ownershipSql, privilegesSql } from "./migrations.ts";
import { setPassword } from "./password.ts";
import { agreedPassword } from "./saslprep.ts";
import { DATABASE_LOCK, SERVER_LOCK, SetupSession } from "./setup-session.ts";
import {
  accessSql,
  CONSOLE,
  createDatabaseSql,
  groupRolesSql,
  loginRoleSql,
  OWNER,
  quoteIdentifier,
  READER,
  RELAY,
  recordMigrationSql,
  SEALER,
  WRITER,
} from "./setup-sql.ts";

/** Options of {@link setupDatabase}. */
export interface SetupOptions {
  /**
   * Connects as a superuser, or as a role with CREATEROLE and CREATEDB, to a database that already exists on the
   * server.
   */
  readonly adminUrl: string;
  /**
   * The URL that applications will use. Its role becomes a writer with its password; its database is the one created.
   */
  readonly writerUrl?: string | undefined;
  /** The URL for reading. Its role becomes a reader with its password. */
  readonly readerUrl?: string | undefined;
  /** The URL of the sealer. Its role may then append to the Merkle tree, with its password. */
  readonly sealerUrl?: string | undefined;
  /** The URL of `seclog work`, which stores what comes out of a queue. Its role may then move any source's position. */
  readonly relayUrl?: string | undefined;
  /** The URL for the console's users, sessions and views. Its role may then keep them, with its password. */
  readonly consoleUrl?: string | undefined;
  /** @default the database of `writerUrl`, `readerUrl`, `sealerUrl`, `relayUrl` or `consoleUrl`, else `"seclog"` */
  readonly database?: string | undefined;
  /** For `adminUrl`, see {@link TlsOption}. */
  readonly tls?: TlsOption | undefined;
  /** Milliseconds to wait for another setup, or for a client that holds a lock on the log. @default 30000 */
  readonly lockTimeout?: number | undefined;
  /** Called with each step, in a few words. */
  readonly onProgress?: ((step: string) => void) | undefined;
}

/** What {@link setupDatabase} found and did. */
export interface SetupResult {
  readonly database: string;
  /** As the server reports it: `18.4`. */
  readonly serverVersion: string;
  readonly databaseCreated: boolean;
  /** The file names of the migrations that this run applied. */
  readonly migrationsApplied: readonly string[];
  readonly partitionsCreated: number;
  /** What could not be set up as it should, and why. */
  readonly warnings: readonly string[];
}

const WHERE = "setup";
const OPTIONS = [
  "adminUrl",
  "writerUrl",
  "readerUrl",
  "sealerUrl",
  "relayUrl",
  "consoleUrl",
  "database",
  "tls",
  "lockTimeout",
  "onProgress",
] as const;
const OLDEST_SERVER = 14;

/**
 * Creates the database, the roles and the tables, or brings them up to date. Existing objects stay; it can run again,
 * even twice at once. Passwords become SCRAM verifiers on this side, so the server never sees them, and its log and
 * statistics do not see the verifiers either.
 *
 * @throws SeclogError `SECLOG_CONFIG` for the options, `SECLOG_SCHEMA_NEWER` when a newer program made a breaking
 *   change, `SECLOG_SETUP` with the server's reason for anything else
 */
export async function setupDatabase(options: SetupOptions): Promise<SetupResult> {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  const plan = planSetup(options);
  const lockTimeout = wholeNumber(WHERE, "lockTimeout", options.lockTimeout, { default: 30_000, min: 1 });
  const onProgress = options.onProgress ?? (() => {});
  const warnings: string[] = [];
  const open = (database?: string): Promise<SetupSession> => {
    const config = connectionConfig(WHERE, "adminUrl", options.adminUrl, options.tls);
    return SetupSession.open({
      config: database === undefined ? config : { ...config, database },
      lockTimeout,
      onWarning: (warning) => warnings.push(warning),
    });
  };
  try {
    const server = await withSession(open(), async (session) => {
      const serverVersion = await checkServer(session.client);
      onProgress("creating the roles");
      await session.transaction(SERVER_LOCK, (client) => createRoles(client, plan.logins));
      onProgress(`creating the database ${plan.database}`);
      const databaseCreated = await createDatabase(session.client, plan.database);
      await session.transaction(SERVER_LOCK, (client) => admitAdministrator(client, plan.database));
      return { serverVersion, databaseCreated };
    });
    const schema = await withSession(open(plan.database), async (session) => {
      const migrated = await session.transaction(DATABASE_LOCK, (client) =>
        setUpSchema(client, plan.database, onProgress),
      );
      onProgress("creating partitions ahead");
      const partitionsCreated = await session.transaction(DATABASE_LOCK, ensurePartitions);
      return { ...migrated, partitionsCreated };
    });
    const { newer, ...done } = schema;
    if (newer !== undefined) warnings.push(`${newer}: its privileges and triggers were left as they are`);
    return { database: plan.database, ...server, ...done, warnings };
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    const state = errorCode(cause);
    const advice = poolerAdvice(cause) ?? ADVICE[state];
    throw new SeclogError(
      "SECLOG_SETUP",
      `setup of ${plan.database} failed: ${errorMessage(cause)}${state === "" ? "" : ` (${state})`}${advice === undefined ? "" : `; ${advice}`}`,
      { cause },
    );
  }
}

const ADVICE: { readonly [code: string]: string } = {
  "28P01": "check the password in SECLOG_ADMIN_URL",
  "28000": "check the user in SECLOG_ADMIN_URL and the server's pg_hba.conf",
  "3D000":
    "SECLOG_ADMIN_URL must name an existing database, such as /postgres: setup connects there and creates the log's own",
  "42501":
    "the role in SECLOG_ADMIN_URL must be a superuser or have CREATEROLE and CREATEDB; if another administrator created the roles: GRANT seclog_owner, seclog_writer, seclog_reader, seclog_sealer, seclog_relay, seclog_console TO it WITH ADMIN OPTION; or have a DBA run the output of npx @seclog/server setup --print-sql",
  ECONNREFUSED: "is PostgreSQL running there?",
  ENOTFOUND: "check the host in SECLOG_ADMIN_URL",
};

interface Login {
  readonly name: string;
  readonly group: typeof WRITER | typeof READER | typeof SEALER | typeof RELAY | typeof CONSOLE;
  readonly password: string | undefined;
}

function planSetup(options: SetupOptions): { readonly database: string; readonly logins: readonly Login[] } {
  const admin = connectionConfig(WHERE, "adminUrl", options.adminUrl, options.tls);
  const logins: Login[] = [];
  let database = options.database;
  for (const [key, url, group] of [
    ["writerUrl", options.writerUrl, WRITER],
    ["readerUrl", options.readerUrl, READER],
    ["sealerUrl", options.sealerUrl, SEALER],
    ["relayUrl", options.relayUrl, RELAY],
    ["consoleUrl", options.consoleUrl, CONSOLE],
  ] as const) {
    if (url === undefined) continue;
    // Only its names are used here, so its TLS settings are not checked.
    const config = connectionConfig(WHERE, key, url, false);
    const name = config.user ?? "";
    if (database !== undefined && database !== config.database) {
      throw configError(WHERE, key, `names the database ${config.database}, not ${database}`);
    }
    database = config.database;
    if ([OWNER, WRITER, READER, SEALER, RELAY, CONSOLE].includes(name)) {
      throw configError(WHERE, key, `names the role ${name}, which is a group; choose another name, such as shop_log`);
    }
    if (name === admin.user)
      throw configError(WHERE, key, `names the administrator ${name}; it needs a role of its own`);
    if (logins.some((login) => login.name === name)) {
      throw configError(
        WHERE,
        key,
        `names the role ${name} again; writer, reader, sealer, relay and console each need their own`,
      );
    }
    if (name.startsWith("pg_"))
      throw configError(WHERE, key, `names the role ${name}; PostgreSQL reserves names that begin with pg_`);
    const password = typeof config.password === "string" ? config.password : undefined;
    if (password !== undefined && agreedPassword(password) === undefined) {
      throw configError(
        WHERE,
        key,
        "has a password of characters that PostgreSQL's clients prepare differently (RFC 4013): choose an ASCII one",
      );
    }
    logins.push({ name, group, password });
  }
  const chosen = database ?? "seclog";
  checkName("database", chosen, (problem) => configError(WHERE, "database", problem));
  if (/^(postgres|template[01])$/.test(chosen)) {
    throw configError(WHERE, "database", `is ${chosen}; the log needs a database of its own, such as seclog`);
  }
  return { database: chosen, logins };
}

async function withSession<T>(opening: Promise<SetupSession>, work: (session: SetupSession) => Promise<T>): Promise<T> {
  const session = await opening;
  try {
    return await work(session);
  } finally {
    await session.end();
  }
}

async function checkServer(admin: Client): Promise<string> {
  const { rows } = await admin.query<{ version: string; number: number }>(
    "SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number",
  );
  const { version, number } = rows[0] ?? { version: "unknown", number: 0 };
  if (number < OLDEST_SERVER * 10_000) {
    throw new SeclogError(
      "SECLOG_SETUP",
      `the server is PostgreSQL ${version}; Seclog needs ${OLDEST_SERVER} or later`,
    );
  }
  return version;
}

async function createRoles(client: Client, logins: readonly Login[]): Promise<void> {
  for (const sql of groupRolesSql()) await client.query(sql);
  for (const login of logins) {
    for (const sql of loginRoleSql(login)) await client.query(sql);
    if (login.password !== undefined) await setPassword(client, login.name, login.password);
  }
}

async function createDatabase(admin: Client, database: string): Promise<boolean> {
  const { rows } = await admin.query<{ encoding: string }>(
    "SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_catalog.pg_database WHERE datname = $1",
    [database],
  );
  const existing = rows[0];
  if (existing === undefined) {
    try {
      await admin.query(createDatabaseSql(database));
      return true;
    } catch (error) {
      // A concurrent setup has just created it.
      if (!["42P04", "23505"].includes(errorCode(error))) throw error;
      return false;
    }
  }
  if (existing.encoding !== "UTF8") {
    throw new SeclogError("SECLOG_SETUP", `the database ${database} has the encoding ${existing.encoding}, not UTF8`);
  }
  return false;
}

/**
 * The GRANT of accessSql(), for a database that an earlier program or another administrator set up: without it this one
 * cannot connect.
 */
async function admitAdministrator(client: Client, database: string): Promise<void> {
  const { rows } = await client.query<{ admitted: boolean }>(
    "SELECT has_database_privilege(datname, 'CONNECT') OR pg_get_userbyid(datdba) <> $2 AS admitted FROM pg_database WHERE datname = $1",
    [database, OWNER],
  );
  if (rows[0]?.admitted !== false) return;
  await asOwner(client, () => client.query(`GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO SESSION_USER`));
}

async function asOwner<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const revokeOwner = await borrowOwner(client);
  await client.query(`SET LOCAL ROLE ${OWNER}`);
  const result = await work();
  await client.query("SET LOCAL ROLE NONE");
  await revokeOwner();
  return result;
}

interface Migrated {
  readonly migrationsApplied: readonly string[];
  /** A warning when a newer program has changed the schema. */
  readonly newer: string | undefined;
}

async function setUpSchema(client: Client, database: string, onProgress: (step: string) => void): Promise<Migrated> {
  const revokeOwner = await borrowOwner(client);
  await client.query(ownershipSql());
  const migrated = await asOwner(client, async () => {
    for (const sql of accessSql(database)) await client.query(sql);
    return await migrate(client, onProgress);
  });
  await revokeOwner();
  return migrated;
}

/** As the owner: applies the pending migrations and restores privileges. */
async function migrate(client: Client, onProgress: (step: string) => void): Promise<Migrated> {
  const { rows } = await client.query<{ id: number; name: string; breaking: boolean; checksum: string }>(
    "SELECT id, name, breaking, checksum FROM public.seclog_migration ORDER BY id",
  );
  const pending = migrations().filter(({ id }) => !rows.some((row) => row.id === id));
  const present = migrations().filter((own) => !pending.includes(own));
  const newer = rows.length === 0 ? undefined : checkSchemaVersion(present, rows);
  for (const applied of rows) {
    const own = migrations().find(({ id }) => id === applied.id);
    if (own === undefined || own.checksum === applied.checksum) continue;
    throw new SeclogError(
      "SECLOG_SETUP",
      `migration ${applied.name} of the database differs from this program's: it was edited after it was applied`,
    );
  }
  for (const migration of pending) {
    onProgress(`applying ${migration.name}`);
    await client.query(migration.sql);
    await client.query(recordMigrationSql(migration));
  }
  // A newer program's grants on its own functions and tables are unknown here: privileges.sql would revoke them.
  if (newer === undefined) await client.query(privilegesSql());
  if (pending.length > 0) {
    const data = canonicalJson({ migrations: pending.map(({ name }) => name), version: pending.at(-1)?.id ?? 0 });
    await client.query("SELECT public.seclog_own_event('log_setup', $1)", [data]);
  }
  return { migrationsApplied: pending.map(({ name }) => name), newer };
}

/** In a transaction of its own: it gives up at a lock that a client holds, which must not undo a migration. */
async function ensurePartitions(client: Client): Promise<number> {
  const { rows } = await asOwner(client, () =>
    client.query<{ created: number }>("SELECT public.seclog_make_partitions() AS created"),
  );
  return rows[0]?.created ?? 0;
}
