import type { Client } from "pg";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { canonicalJson } from "../event/json.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { connectionConfig, type TlsOption } from "./connection-config.ts";
import { errorCode } from "./failure.ts";
import { migrations, privilegesSql } from "./migrations.ts";
import { setPassword } from "./password.ts";
import { checkSchemaVersion } from "./schema-version.ts";
import {
  accessSql,
  createDatabaseSql,
  groupRolesSql,
  loginRoleSql,
  OWNER,
  quoteIdentifier,
  READER,
  recordMigrationSql,
  SEALER,
  WRITER,
} from "./setup-sql.ts";

/** Options of {@link setupDatabase}. */
export interface SetupOptions {
  /** Connects as a superuser, or as a role with CREATEROLE and CREATEDB, to any database of the server. */
  readonly adminUrl: string;
  /** The URL that applications will use. Its role is made a writer and gets its password, its database is the one made. */
  readonly writerUrl?: string | undefined;
  /** The URL for reading. Its role is made a reader and gets its password. */
  readonly readerUrl?: string | undefined;
  /** The URL of the sealer. Its role may append to the Merkle tree and gets its password. */
  readonly sealerUrl?: string | undefined;
  /** @default the database of `writerUrl`, `readerUrl` or `sealerUrl`, else `"seclog"` */
  readonly database?: string | undefined;
  /** For `adminUrl`, see {@link TlsOption}. */
  readonly tls?: TlsOption | undefined;
  /** Told what is done, in a few words. */
  readonly onProgress?: ((what: string) => void) | undefined;
}

/** What {@link setupDatabase} found and did. */
export interface SetupResult {
  readonly database: string;
  /** As the server says it: `18.4`. */
  readonly serverVersion: string;
  readonly databaseCreated: boolean;
  /** The files' names of the migrations that were applied now. */
  readonly migrationsApplied: readonly string[];
  readonly partitionsCreated: number;
  /** What could not be as it should, and why. */
  readonly warnings: readonly string[];
}

const WHERE = "setup";
const OPTIONS = ["adminUrl", "writerUrl", "readerUrl", "sealerUrl", "database", "tls", "onProgress"] as const;
/**
 * Two setups of one server take turns, and so do two of one database. Not the number that
 * `seclog_ensure_partitions` locks, which is the one before.
 */
const SERVER_LOCK = "91556946923336";
const DATABASE_LOCK = "91556946923337";
const OLDEST_SERVER = 15;

/**
 * Creates the database, the roles and the tables, or brings them up to date. What is there stays: it can run again,
 * also twice at once. Passwords are turned into SCRAM verifiers here, so the server never sees them, and its log and
 * statistics do not even see the verifiers.
 *
 * @throws SeclogError `SECLOG_CONFIG` for the options, `SECLOG_SCHEMA_NEWER` when a newer program made a breaking
 *   change, `SECLOG_SETUP` with the server's reason for anything else
 */
export async function setupDatabase(options: SetupOptions): Promise<SetupResult> {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  const plan = planSetup(options);
  const say = options.onProgress ?? (() => {});
  const warnings: string[] = [];
  try {
    const admin = await connect(options, undefined);
    let databaseCreated: boolean;
    let serverVersion: string;
    let borrowed = false;
    try {
      serverVersion = await checkServer(admin);
      await admin.query(`SELECT pg_advisory_lock(${SERVER_LOCK})`);
      say("creating the roles");
      for (const sql of groupRolesSql()) await admin.query(sql);
      for (const login of plan.logins) {
        for (const sql of loginRoleSql(login)) await admin.query(sql);
        if (login.password === undefined) continue;
        await setPassword(admin, login.name, login.password);
      }
      borrowed = await borrowOwner(admin);
      say(`creating the database ${plan.database}`);
      databaseCreated = await createDatabase(admin, plan.database);
      const { newer, ...done } = await setUpSchema(options, plan.database, say);
      if (newer !== undefined) warnings.push(`${newer}: its privileges and triggers were left as they are`);
      return { database: plan.database, serverVersion, databaseCreated, ...done, warnings };
    } finally {
      if (borrowed) await admin.query(`REVOKE ${OWNER} FROM CURRENT_USER`).catch(() => {});
      await admin.end().catch(() => {});
    }
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    const state = errorCode(cause);
    const advice = ADVICE[state];
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
  "3D000": "check the database in SECLOG_ADMIN_URL",
  "42501":
    "SECLOG_ADMIN_URL must be a superuser or have CREATEROLE and CREATEDB, and where another administrator made the roles: GRANT seclog_owner, seclog_writer, seclog_reader, seclog_sealer TO it WITH ADMIN OPTION; or give a DBA what npx @seclog/server setup --print-sql prints",
  ECONNREFUSED: "is PostgreSQL running there?",
  ENOTFOUND: "check the host in SECLOG_ADMIN_URL",
};

interface Login {
  readonly name: string;
  readonly group: typeof WRITER | typeof READER | typeof SEALER;
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
  ] as const) {
    if (url === undefined) continue;
    // Only its names are used here, so how it is protected is not judged.
    const config = connectionConfig(WHERE, key, url, false);
    const name = config.user ?? "";
    if (database !== undefined && database !== config.database) {
      throw configError(WHERE, key, `names the database ${config.database}, not ${database}`);
    }
    database = config.database;
    if ([OWNER, WRITER, READER, SEALER].includes(name)) {
      throw configError(WHERE, key, `names the role ${name}, which is a group; choose another name, such as shop_log`);
    }
    if (name === admin.user)
      throw configError(WHERE, key, `names the administrator ${name}; it needs a role of its own`);
    if (logins.some((login) => login.name === name)) {
      throw configError(WHERE, key, `names the role ${name} again; writer, reader and sealer need one each`);
    }
    const password = typeof config.password === "string" ? config.password : undefined;
    logins.push({ name, group, password });
  }
  const chosen = database ?? "seclog";
  if (/^(postgres|template[01])$/.test(chosen)) {
    throw configError(WHERE, "database", `is ${chosen}; the log needs a database of its own, such as seclog`);
  }
  return { database: chosen, logins };
}

async function connect(options: SetupOptions, database: string | undefined): Promise<Client> {
  const { default: pg } = await import("pg");
  const config = connectionConfig(WHERE, "adminUrl", options.adminUrl, options.tls);
  const client = new pg.Client({
    ...config,
    ...(database === undefined ? {} : { database }),
    application_name: "seclog setup",
    connectionTimeoutMillis: 10_000,
  });
  // A lost connection also fails the query that was under way.
  client.on("error", () => {});
  await client.connect();
  // Whoever set up objects named like PostgreSQL's own must not run as the administrator.
  await client.query("SET search_path = pg_catalog, pg_temp");
  return client;
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

/** An administrator who is no superuser acts as the owner by being its member, for the time of setup. */
async function borrowOwner(admin: Client): Promise<boolean> {
  const { rows } = await admin.query<{ superuser: boolean }>(
    "SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user",
  );
  if (rows[0]?.superuser === true) return false;
  await admin.query(`GRANT ${OWNER} TO CURRENT_USER`);
  return true;
}

async function createDatabase(admin: Client, database: string): Promise<boolean> {
  const { rows } = await admin.query<{ owner: string; encoding: string }>(
    `SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding
      FROM pg_database WHERE datname = $1`,
    [database],
  );
  const existing = rows[0];
  if (existing === undefined) {
    try {
      await admin.query(createDatabaseSql(database));
      return true;
    } catch (error) {
      // Made at this moment by somebody else.
      if (!["42P04", "23505"].includes(errorCode(error))) throw error;
      return false;
    }
  }
  if (existing.encoding !== "UTF8") {
    throw new SeclogError("SECLOG_SETUP", `the database ${database} has the encoding ${existing.encoding}, not UTF8`);
  }
  if (existing.owner !== OWNER) await admin.query(`ALTER DATABASE ${quoteIdentifier(database)} OWNER TO ${OWNER}`);
  return false;
}

async function setUpSchema(
  options: SetupOptions,
  database: string,
  say: (what: string) => void,
): Promise<Pick<SetupResult, "migrationsApplied" | "partitionsCreated"> & { readonly newer: string | undefined }> {
  const client = await connect(options, database);
  try {
    await client.query(`SELECT pg_advisory_lock(${DATABASE_LOCK})`);
    await client.query(`SET ROLE ${OWNER}`);
    await refuseForeignTables(client, database);
    for (const sql of accessSql(database)) await client.query(sql);
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
        `migration ${applied.name} of the database is not the one of this program: it was edited after it was applied`,
      );
    }
    for (const migration of pending) {
      say(`applying ${migration.name}`);
      await client.query("BEGIN");
      await client.query(migration.sql);
      await client.query(recordMigrationSql(migration));
      await client.query("COMMIT");
    }
    // What a newer program granted to its own functions and tables is not known here, and would be revoked.
    if (newer === undefined) await client.query(`BEGIN; ${privilegesSql()}; COMMIT`);
    if (pending.length > 0) {
      const data = canonicalJson({ migrations: pending.map(({ name }) => name), version: pending.at(-1)?.id ?? 0 });
      await client.query("SELECT public.seclog_own_event('log_setup', $1)", [data]);
    }
    say("making partitions ahead");
    const ensured = await client.query<{ created: number }>("SELECT public.seclog_make_partitions() AS created");
    return {
      migrationsApplied: pending.map(({ name }) => name),
      partitionsCreated: ensured.rows[0]?.created ?? 0,
      newer,
    };
  } finally {
    await client.end().catch(() => {});
  }
}

/** The log's database is its own: setup takes away what everybody may do by default, which others may rely on. */
async function refuseForeignTables(client: Client, database: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND relname !~ '^(security_event_|seclog_)' LIMIT 1`,
  );
  if (rows[0] === undefined) return;
  throw new SeclogError(
    "SECLOG_SETUP",
    `the database ${database} has other tables, such as ${rows[0].name}; give Seclog one of its own`,
  );
}
