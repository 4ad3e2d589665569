/** Setup in databases that it did not create as they are: extensions, another owner of the schema, a restore. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { postgresUrl } from "#test/support/postgres.ts";
import { type SetupResult, setupDatabase } from "./setup.ts";

let serverUrl: string;
let name: string;

beforeEach(async () => {
  serverUrl = await postgresUrl();
  name = `seclog_test_${randomBytes(5).toString("hex")}`;
  await sql("postgres", `CREATE DATABASE ${name}`, `CREATE ROLE other_${name} LOGIN`);
});

afterEach(async () => {
  await sql("postgres", `DROP DATABASE ${name} WITH (FORCE)`, `DROP OWNED BY other_${name}; DROP ROLE other_${name}`);
});

function urlOf(database: string, user?: string): string {
  const url = Object.assign(new URL(serverUrl), { pathname: `/${database}` });
  return user === undefined ? url.href : Object.assign(url, { username: user, password: "x" }).href;
}

/** Runs statements as the superuser. Returns the rows of the last. */
async function sql(database: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(urlOf(database));
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

const setup = (adminUrl: string = serverUrl): Promise<SetupResult> => setupDatabase({ adminUrl, database: name });

/** Runs `work` with an administrator as on managed services: not a superuser. */
async function withAdministrator(work: (adminUrl: string) => Promise<void>): Promise<void> {
  const admin = `dba_${name}`;
  // The groups must exist, created by the superuser.
  await setupDatabase({ adminUrl: serverUrl, database: `${name}_groups` });
  await sql(
    "postgres",
    `DROP DATABASE ${name}_groups WITH (FORCE)`,
    `CREATE ROLE ${admin} LOGIN CREATEROLE CREATEDB PASSWORD 'x'`,
    `GRANT seclog_owner, seclog_writer, seclog_reader, seclog_sealer, seclog_relay, seclog_console TO ${admin} WITH ADMIN OPTION, SET FALSE, INHERIT FALSE`,
    `ALTER DATABASE ${name} OWNER TO ${admin}`,
  );
  try {
    await work(urlOf("postgres", admin));
  } finally {
    await sql(name, `REASSIGN OWNED BY ${admin} TO postgres; DROP OWNED BY ${admin}`);
    await sql("postgres", `DROP OWNED BY ${admin}; DROP ROLE ${admin}`);
  }
}

const GIVE_AWAY = (owner: string): string => `DO $$
  DECLARE thing text;
  BEGIN
    FOR thing IN
      SELECT 'TABLE ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
      UNION ALL SELECT 'TYPE ' || oid::regtype FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
      UNION ALL SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    LOOP
      EXECUTE format('ALTER %s OWNER TO ${owner}', thing);
    END LOOP;
  END $$`;

const FOREIGN = `SELECT DISTINCT pg_get_userbyid(owner) AS owner FROM (
    SELECT relowner FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION SELECT typowner FROM pg_type WHERE typnamespace = 'public'::regnamespace
    UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS thing (owner)`;

describe("setupDatabase() beside an extension", () => {
  it("does not mistake an extension's objects in public for an application's", async () => {
    await sql(name, "CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pgcrypto", "CREATE EXTENSION hstore");
    expect(await setup()).toMatchObject({ warnings: [] });
    await sql(name, "CREATE EXTENSION pg_buffercache");
    expect(await setup()).toMatchObject({ migrationsApplied: [], warnings: [] });
    // The extension's objects keep their privileges.
    const [row] = await sql(name, "SELECT has_function_privilege('public', 'digest(text, text)', 'EXECUTE') AS may");
    expect(row).toEqual({ may: true });
  });

  it.each([
    "CREATE TABLE customers ()",
    "CREATE VIEW customers AS SELECT 1",
    "CREATE MATERIALIZED VIEW customers AS SELECT 1",
    "CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE customers (a int) SERVER f OPTIONS (program 'true')",
  ])("refuses another application's tables before the first setup, and warns after it: %s", async (statement) => {
    await sql(name, statement);
    await expect(setup()).rejects.toThrow(
      /other tables or views, such as customers; give Seclog a database of its own/,
    );
    await sql(
      name,
      statement.includes("FOREIGN") ? "DROP EXTENSION file_fdw CASCADE" : `DROP ${kindOf(statement)} customers`,
    );
    await setup();
    await sql(name, statement);
    expect(await setup()).toMatchObject({ warnings: [expect.stringContaining("such as customers")] });
  });

  const kindOf = (statement: string): string => /^CREATE (.*?) customers/.exec(statement)?.[1] ?? "";

  it("accepts functions, types and sequences", async () => {
    await sql(
      name,
      "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE TYPE t AS ENUM ('a')",
      "CREATE SEQUENCE s",
    );
    expect(await setup()).toMatchObject({ warnings: [] });
  });
});

describe("setupDatabase() in a schema public of another owner", () => {
  /** As PostgreSQL 14 creates it, and pg_upgrade keeps it. */
  const AS_BEFORE_15 = "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC";
  const MAY_CREATE = `SELECT has_schema_privilege('other_${"NAME"}', 'public', 'CREATE') AS may`;
  const othersMayCreate = async (): Promise<unknown> => (await sql(name, MAY_CREATE.replace("NAME", name)))[0]?.["may"];

  it("takes it over as a superuser, and revokes CREATE from PUBLIC", async () => {
    await sql(name, AS_BEFORE_15);
    expect(await setup()).toMatchObject({ warnings: [] });
    expect(await othersMayCreate()).toBe(false);
  });

  it("warns an administrator without that right which statement another role must run", async () => {
    await withAdministrator(async (adminUrl) => {
      await sql(name, AS_BEFORE_15);
      const statement = `have postgres or a superuser run in the database ${name}: ALTER SCHEMA public OWNER TO seclog_owner`;
      expect(await setup(adminUrl)).toMatchObject({ warnings: [expect.stringContaining(statement)] });
      await sql(name, "ALTER SCHEMA public OWNER TO seclog_owner");
      expect(await setup(adminUrl)).toMatchObject({ warnings: [] });
      expect(await othersMayCreate()).toBe(false);
    });
  });

  it("does not ask for a superuser when the schema is hardened", async () => {
    await withAdministrator(async (adminUrl) => {
      await sql(name, AS_BEFORE_15, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
      const error = await setup(adminUrl).catch((thrown: unknown) => thrown as Error);
      expect(error).toMatchObject({
        code: "SECLOG_SETUP",
        message: expect.stringMatching(
          /belongs to postgres, and seclog_owner may not create.*ALTER SCHEMA public OWNER TO seclog_owner/,
        ),
      });
      expect(String(error)).not.toContain("must be a superuser");
      await sql(name, "GRANT CREATE ON SCHEMA public TO seclog_owner");
      expect(await setup(adminUrl)).toMatchObject({ warnings: [expect.stringContaining("ALTER SCHEMA public OWNER")] });
    });
  });

  it("creates the schema if it was dropped", async () => {
    await sql(name, "DROP SCHEMA public");
    expect(await setup()).toMatchObject({ warnings: [] });
  });

  it("names other roles that may create there, and those that would get privileges on new tables", async () => {
    await sql(name, `GRANT CREATE ON SCHEMA public TO other_${name}`);
    await setup();
    await sql(name, `ALTER DEFAULT PRIVILEGES FOR ROLE seclog_owner GRANT SELECT ON TABLES TO other_${name}`);
    const { warnings } = await setup();
    expect(warnings).toEqual([
      expect.stringContaining(`REVOKE CREATE ON SCHEMA public FROM other_${name}`),
      expect.stringContaining(`ALTER DEFAULT PRIVILEGES FOR ROLE seclog_owner REVOKE ALL ON TABLES FROM other_${name}`),
    ]);
  });
});

describe("setupDatabase() after a restore without owners", () => {
  it("gives seclog_owner the objects that a superuser owns", async () => {
    await setup();
    await sql(name, GIVE_AWAY("postgres"), `ALTER DATABASE ${name} OWNER TO postgres`);
    expect(await setup()).toMatchObject({ migrationsApplied: [], warnings: [] });
    expect(await sql(name, FOREIGN)).toEqual([{ owner: "seclog_owner" }]);
  });

  it("gives seclog_owner the objects of the administrator who restored them", async () => {
    await withAdministrator(async (adminUrl) => {
      await setup(adminUrl);
      await sql(name, GIVE_AWAY(`dba_${name}`), `ALTER DATABASE ${name} OWNER TO dba_${name}`);
      await setup(adminUrl);
      expect(await sql(name, FOREIGN)).toEqual([{ owner: "seclog_owner" }]);
      await sql(name, GIVE_AWAY("postgres"));
      await expect(setup(adminUrl)).rejects.toThrow(
        /belongs to postgres, as after a restore.*SECLOG_ADMIN_URL of postgres/,
      );
    });
  });

  it("does not let another role's function run as seclog_owner", async () => {
    await sql(
      name,
      "CREATE FUNCTION public.seclog_evil() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
      `ALTER FUNCTION public.seclog_evil() OWNER TO other_${name}`,
    );
    await expect(setup()).rejects.toThrow(`public.seclog_evil() belongs to other_${name}`);
  });
});

describe("setupDatabase() when another session is in its way", () => {
  it.each([
    ["SELECT pg_advisory_lock(91556946923337)"],
    ["BEGIN; LOCK TABLE public.seclog_migration IN ACCESS EXCLUSIVE MODE"],
  ])("names the session that holds the lock: %s", async (statement) => {
    await setup();
    const holder = new pg.Client({ connectionString: urlOf(name), application_name: "in the way" });
    await holder.connect();
    try {
      await holder.query(statement);
      const { rows } = await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      const late = setupDatabase({ adminUrl: serverUrl, database: name, lockTimeout: 200 });
      await expect(late).rejects.toThrow(`pid ${rows[0]?.pid} (application in the way, user postgres) since `);
    } finally {
      await holder.end();
    }
    await setup();
  });
});
