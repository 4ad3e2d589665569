/** What `seclog doctor` looks at. Each check says in words what is so, and what to do when it should not be. */
import type pg from "pg";
import { errorMessage } from "seclog";
import { accessProblems, checkSchemaVersion, migrations } from "seclog/postgres";
import { inspectSpool } from "seclog/ship";
import { connect, databaseError } from "./connection.ts";
import { type Role, roleConfig, URL_VARIABLES } from "./environment.ts";
import { bytesText, counted } from "./output.ts";

/** One finding. */
export interface Check {
  readonly area: string;
  readonly status: "ok" | "warning" | "fault" | "skipped";
  readonly finding: string;
  /** What to do about a warning or a fault. */
  readonly advice?: string;
}

/** Collects the findings of one area. */
export class Findings {
  readonly checks: Check[] = [];
  readonly #area: string;

  constructor(area: string) {
    this.#area = area;
  }

  ok(finding: string): void {
    this.checks.push({ area: this.#area, status: "ok", finding });
  }

  warning(finding: string, advice: string): void {
    this.checks.push({ area: this.#area, status: "warning", finding, advice });
  }

  fault(finding: string, advice: string | undefined): void {
    this.checks.push({ area: this.#area, status: "fault", finding, ...(advice === undefined ? {} : { advice }) });
  }

  skipped(finding: string): void {
    this.checks.push({ area: this.#area, status: "skipped", finding });
  }
}

/** What setup asks for, too. */
const OLDEST_SERVER = 15;
/** Clocks further apart than this make times of events hard to compare, and these many seconds are wrong. */
const CLOCK_WARNING_S = 2;
const CLOCK_FAULT_S = 60;
const PERMISSION_DENIED = "42501";

/** Connects as a role and looks at everything that it may see. */
export async function checkRole(role: Role, url: string, limits: PoolLimits): Promise<readonly Check[]> {
  const findings = new Findings(role);
  let client: pg.Client;
  try {
    client = await connect(role, url);
  } catch (error) {
    findings.fault("cannot connect", errorMessage(databaseError(error, role)));
    return findings.checks;
  }
  try {
    await client.query("SET timezone = 'UTC'");
    await client.query("SET default_transaction_read_only = on");
    await checkServer(client, role, url, findings);
    if (role === "admin") await checkAdmin(client, findings);
    else if (await checkSchema(client, findings)) {
      if (role === "writer") {
        await checkPrivileges(client, "writer", findings);
        await checkDurability(client, findings);
        await checkConnections(client, limits, findings);
        await checkTriggers(client, findings);
      } else {
        await checkPrivileges(client, "reader", findings);
        await checkPartitions(client, findings);
        await checkContents(client, findings);
      }
    }
  } catch (error) {
    // That a privilege is missing has been said above.
    if ((error as { readonly code?: unknown }).code === PERMISSION_DENIED) findings.skipped("not looked at further");
    else findings.fault(`a check could not be made: ${errorMessage(error)}`, "see the server's log");
  } finally {
    await client.end().catch(() => {});
  }
  return findings.checks;
}

async function one<Row extends pg.QueryResultRow>(client: pg.Client, text: string, values?: unknown[]): Promise<Row> {
  const { rows } = await client.query<Row>(text, values);
  const [row] = rows;
  if (row === undefined) throw new Error("the server gave no row");
  return row;
}

async function checkServer(client: pg.Client, role: Role, url: string, findings: Findings): Promise<void> {
  const { host, port, ssl } = roleConfig(role, url);
  const server = await one<{ version: string; number: number; name: string; database: string; tls: string | null }>(
    client,
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
            current_user AS name, current_database() AS database,
            (SELECT s.version FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()) AS tls`,
  );
  const version = server.version.split(" ")[0];
  findings.ok(`connects to ${host}:${port} as ${server.name}, database ${server.database}, PostgreSQL ${version}`);
  if (Math.floor(server.number / 10_000) < OLDEST_SERVER) {
    findings.fault(`PostgreSQL ${version} is too old`, `use PostgreSQL ${OLDEST_SERVER} or later`);
  }
  if (server.tls !== null) findings.ok(`the connection is encrypted (${server.tls}), the certificate was verified`);
  else if (ssl === false && !/^(\/|127\.|localhost$|::1$)/.test(host ?? "")) {
    findings.warning(
      "the connection is not encrypted, and the server is another machine",
      `take sslmode=disable out of ${URL_VARIABLES[role]}`,
    );
  }
  const before = Date.now();
  const { time } = await one<{ time: string }>(client, "SELECT extract(epoch FROM clock_timestamp()) AS time");
  const after = Date.now();
  // The answer was made at some moment between: only what is outside is a difference for sure.
  const seconds = Number(time) - (before + after) / 2000;
  const certain = Math.max(0, Math.abs(seconds) - (after - before) / 2000);
  const words = `the server's clock is ${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? "ahead of" : "behind"} this machine's`;
  const advice = "let both machines keep their time by NTP";
  if (certain > CLOCK_FAULT_S) findings.fault(words, advice);
  else if (certain > CLOCK_WARNING_S) findings.warning(words, advice);
  else findings.ok("the clocks of the server and this machine agree");
}

async function checkAdmin(client: pg.Client, findings: Findings): Promise<void> {
  const { able } = await one<{ able: boolean }>(
    client,
    "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) AS able FROM pg_roles WHERE rolname = current_user",
  );
  if (able) findings.ok("may create databases and roles");
  else {
    findings.warning(
      "may not create databases and roles, so setup would fail where they are missing",
      "give the role CREATEDB and CREATEROLE, or let a superuser run what seclog setup --print-sql prints",
    );
  }
}

/** Whether the tables are there. */
async function checkSchema(client: pg.Client, findings: Findings): Promise<boolean> {
  const { there } = await one<{ there: boolean }>(
    client,
    "SELECT to_regclass('public.security_event_log') IS NOT NULL AND to_regproc('public.seclog_describe') IS NOT NULL AS there",
  );
  if (!there) {
    findings.fault(
      "the database has no tables of Seclog",
      "run seclog setup, or correct the database's name in the URL",
    );
    return false;
  }
  try {
    const { applied } = await one<{ applied: { id: number; breaking: boolean }[] | null }>(
      client,
      "SELECT migrations AS applied FROM public.seclog_describe()",
    );
    const warning = checkSchemaVersion(migrations(), applied ?? []);
    if (warning === undefined) findings.ok(`the schema is this program's (migration ${migrations().at(-1)?.id})`);
    else findings.warning(warning, "use the newer seclog here, too");
  } catch (error) {
    findings.fault(errorMessage(error), "the schema and this program do not fit each other");
  }
  return true;
}

/** The log, every partition, and the tables beside it. */
const OUR_TABLES = `
  SELECT c.oid, c.relname::text AS name FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND (c.relname LIKE 'security\\_event\\_%' OR c.relname LIKE 'seclog\\_%')`;

async function checkPrivileges(client: pg.Client, role: "writer" | "reader", findings: Findings): Promise<void> {
  const problems = await accessProblems(client, role);
  const { superuser, create, stamp } = await one<{ superuser: boolean; create: boolean; stamp: boolean }>(
    client,
    `SELECT rolsuper AS superuser, has_schema_privilege('public', 'CREATE') AS create,
            has_column_privilege('public.security_event_log', 'created_at', 'INSERT') AS stamp
     FROM pg_roles WHERE rolname = current_user`,
  );
  // Who has all privileges has each.
  if (!superuser) {
    if (create) problems.push("it may create objects in the schema public");
    if (stamp) problems.push("it may say itself when an event was stored (INSERT of created_at)");
    const { rows } = await client.query<{ name: string; held: string }>(
      `SELECT t.name, string_agg(p.privilege, ', ') AS held FROM (${OUR_TABLES}) t,
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
       WHERE t.name LIKE 'security\\_event\\_log\\_%' AND has_table_privilege(t.oid, p.privilege) GROUP BY 1 ORDER BY 1`,
    );
    if (rows.length > 0)
      problems.push(`it may ${rows[0]?.held} on ${some(rows.map(({ name }) => name))}, past the log itself`);
  }
  for (const [index, problem] of problems.entries()) {
    findings.fault(problem, index === problems.length - 1 ? RENEW : undefined);
  }
  if (problems.length === 0) findings.ok(CAN[role]);
}

const RENEW =
  "run seclog setup, which puts the groups' privileges right, REVOKE what a login role was given itself, and find out who changed it";

const CAN = {
  writer: "may insert events and move its own sources' positions, and nothing else",
  reader: "may read everything and change nothing",
} as const;

function some(list: readonly string[]): string {
  const shown = list.slice(0, 6).join(", ");
  return list.length > 6 ? `${shown} and ${list.length - 6} more` : shown;
}

async function checkDurability(client: pg.Client, findings: Findings): Promise<void> {
  const server = await one<{ fsync: string; pages: string; sums: string; standby: boolean; readonly: string | null }>(
    client,
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
            current_setting('data_checksums') AS sums, pg_is_in_recovery() AS standby,
            (SELECT split_part(c, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) c
             WHERE c LIKE 'default_transaction_read_only=%'
               AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
               AND s.setrole IN (0, current_user::regrole) LIMIT 1) AS readonly`,
  );
  if (server.standby)
    findings.fault("the server is a standby, which takes no events", "name the primary's host in SECLOG_DATABASE_URL");
  if (server.readonly === "on") {
    findings.fault(
      "default_transaction_read_only is on for this role or database",
      "ALTER ROLE … RESET default_transaction_read_only",
    );
  }
  const off = [...(server.fsync === "off" ? ["fsync"] : []), ...(server.pages === "off" ? ["full_page_writes"] : [])];
  if (off.length > 0) {
    findings.fault(
      `a power loss can ruin the database: ${off.map((name) => `${name} = off`).join(", ")}`,
      `set ${off.map((name) => `${name} = on`).join(" and ")} in postgresql.conf`,
    );
  } else findings.ok("what the server has committed survives a power loss (fsync, full_page_writes)");
  if (server.sums === "off") {
    findings.warning(
      "data checksums are off: a failing disk is not noticed",
      "stop the server and run pg_checksums --enable",
    );
  }
}

/** How many connections the applications may open. */
export interface PoolLimits {
  readonly processes: number;
  readonly poolMax: number;
}

async function checkConnections(client: pg.Client, limits: PoolLimits, findings: Findings): Promise<void> {
  const server = await one<{ most: number; reserved: number; used: number; role: number; database: number }>(
    client,
    `SELECT current_setting('max_connections')::int AS most,
            current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
            (SELECT sum(numbackends)::int FROM pg_stat_database) AS used,
            (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
            (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database`,
  );
  const need = limits.processes * limits.poolMax;
  const sum = `${counted(limits.processes, "process").replace(/processs$/, "processes")} × ${limits.poolMax} = ${counted(need, "connection")}`;
  const free = server.most - server.reserved;
  const bounds: readonly (readonly [number, string, string])[] = [
    [free, `the server admits ${free}`, "raise max_connections"],
    [
      server.role < 0 ? Number.POSITIVE_INFINITY : server.role,
      `the role is limited to ${server.role}`,
      "ALTER ROLE … CONNECTION LIMIT",
    ],
    [
      server.database < 0 ? Number.POSITIVE_INFINITY : server.database,
      `the database is limited to ${server.database}`,
      "ALTER DATABASE … CONNECTION LIMIT",
    ],
  ];
  const exceeded = bounds.find(([bound]) => need > bound);
  if (exceeded !== undefined) {
    const [, limit, remedy] = exceeded;
    findings.fault(`${sum}, and ${limit}`, `lower poolMax, run fewer processes, put PgBouncer between, or ${remedy}`);
  } else if (need > free / 2) {
    findings.warning(
      `${sum} is more than half of the ${free} that the server admits (${server.used} in use now)`,
      "leave room for other users: raise max_connections or lower poolMax",
    );
  } else findings.ok(`${sum} at most, of ${free} (${server.used} in use now)`);
}

async function checkTriggers(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT t.name FROM (${OUR_TABLES}) t, unnest(ARRAY['seclog_append_only', 'seclog_no_truncate']) AS wanted
     WHERE (t.oid IN (SELECT relid FROM pg_partition_tree('public.security_event_log')) OR t.name = 'security_event_quarantine')
       AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgname = wanted AND g.tgenabled <> 'D')
     GROUP BY 1 ORDER BY 1`,
  );
  const { login } = await one<{ login: boolean }>(
    client,
    `SELECT r.rolcanlogin AS login FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
     WHERE c.oid = 'public.security_event_log'::regclass`,
  );
  if (login)
    findings.fault("the owner of the tables can log in, and could change them", "ALTER ROLE seclog_owner NOLOGIN");
  if (rows.length > 0) {
    findings.fault(
      `changes are not refused on ${some(rows.map(({ name }) => name))}: a trigger is missing or disabled`,
      "find out who did that; ALTER TABLE … ENABLE TRIGGER ALL, or run seclog setup",
    );
  } else findings.ok("UPDATE, DELETE and TRUNCATE are refused on the log and every partition");
}

const DAY_MS = 86_400_000;

async function checkPartitions(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ parent: string; bound: string }>(
    `SELECT p.relname::text AS parent, pg_get_expr(c.relpartbound, c.oid) AS bound
     FROM pg_partition_tree('public.security_event_log') t
     JOIN pg_class c ON c.oid = t.relid JOIN pg_class p ON p.oid = t.parentrelid
     WHERE t.level = 2 ORDER BY 1, 2`,
  );
  const classes = [...new Set(rows.map(({ parent }) => parent))];
  for (const parent of classes) {
    const ranges = rows
      .filter((row) => row.parent === parent)
      .flatMap(({ bound }) => {
        const [, from, to] = /FROM \('([^']+)'\) TO \('([^']+)'\)/.exec(bound) ?? [];
        return from === undefined || to === undefined ? [] : [{ from, to, start: timeOf(from), end: timeOf(to) }];
      })
      .sort((a, b) => a.start - b.start);
    const end = Math.max(0, ...ranges.map((range) => range.end));
    const days = Math.floor((end - Date.now()) / DAY_MS);
    if (days < 0) {
      findings.fault(`${parent} has no partition for now: events go to its default partition`, PARTITIONS_ADVICE);
    } else if (days < 28)
      findings.warning(`the partitions of ${parent} end in ${counted(days, "day")}`, PARTITIONS_ADVICE);
    else findings.ok(`the partitions of ${parent} reach ${counted(days, "day")} ahead`);
    for (const { from, to } of gaps(ranges)) {
      findings.warning(
        `${parent} has no partition from ${from} to ${to}: events of that time go to its default partition`,
        PARTITIONS_ADVICE,
      );
    }
    const outside = await countOutside(client, parent, ranges);
    if (outside > 0) {
      findings.warning(
        `${counted(outside, "event")} in the default partition of ${parent}: a clock was wrong, or partitions were missing`,
        "seclog_ensure_partitions() takes over what is of its months; look at the others' occurred_at",
      );
    }
  }
  if (classes.length === 0) findings.fault("the log has no partitions", "run seclog setup");
}

const PARTITIONS_ADVICE =
  "applications make them when they start and daily: see their diagnostics; or SELECT seclog_ensure_partitions() as the writer";

function timeOf(text: string): number {
  return Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`);
}

/** What no partition holds between now and the last one's end. */
function gaps(
  ranges: readonly { readonly start: number; readonly end: number }[],
): { readonly from: string; readonly to: string }[] {
  const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
  const found: { from: string; to: string }[] = [];
  let covered = Date.now();
  for (const { start, end } of ranges) {
    if (start > covered) found.push({ from: day(covered), to: day(start) });
    covered = Math.max(covered, end);
  }
  return found;
}

/** Events of a retention class that no monthly partition holds; the conditions let PostgreSQL prune all those. */
async function countOutside(
  client: pg.Client,
  parent: string,
  ranges: readonly { readonly from: string; readonly to: string }[],
): Promise<number> {
  const retention = parent.replace(/^security_event_log_/, "");
  const values: string[] = [retention];
  const parameter = (value: string): string => `$${values.push(value)}::timestamptz`;
  const conditions = ranges.map((range, index) => {
    const after = ranges[index - 1];
    const upTo = `occurred_at < ${parameter(range.from)}`;
    return after === undefined ? upTo : `(occurred_at >= ${parameter(after.to)} AND ${upTo})`;
  });
  const last = ranges.at(-1);
  if (last !== undefined) conditions.push(`occurred_at >= ${parameter(last.to)}`);
  const where = conditions.length === 0 ? "true" : conditions.join(" OR ");
  const { events } = await one<{ events: string }>(
    client,
    `SELECT count(*) AS events FROM public.security_event_log WHERE retention = $1 AND (${where})`,
    values,
  );
  return Number(events);
}

async function checkContents(client: pg.Client, findings: Findings): Promise<void> {
  const { sources, aside, latest } = await one<{ sources: string; aside: string; latest: Date | null }>(
    client,
    `SELECT (SELECT count(*) FROM public.security_event_source) AS sources,
            (SELECT count(*) FROM public.security_event_quarantine) AS aside,
            (SELECT max(updated_at) FROM public.security_event_source WHERE last_seq > 0) AS latest`,
  );
  if (Number(aside) > 0) {
    findings.warning(
      `${counted(Number(aside), "event")} could not be stored and ${aside === "1" ? "is" : "are"} set aside`,
      "SELECT source_id, seq, reason FROM security_event_quarantine says why",
    );
  }
  if (latest === null) findings.ok("no application has stored an event yet");
  else
    findings.ok(
      `${counted(Number(sources), "source")}; the last batch came ${latest.toISOString().slice(0, 19).replace("T", " ")} UTC`,
    );
}

/** Looks at an application's spool. */
export function checkSpool(directory: string): readonly Check[] {
  const findings = new Findings("spool");
  let spool: ReturnType<typeof inspectSpool>;
  try {
    spool = inspectSpool(directory);
  } catch (error) {
    findings.fault(errorMessage(error), "run doctor as the application's user, on its machine");
    return findings.checks;
  }
  const mode = spool.mode.toString(8);
  if (spool.symbolicLink)
    findings.fault(`${directory} is a symbolic link, which the application refuses`, "name the folder itself");
  else if ((spool.mode & 0o002) !== 0) {
    findings.fault(`everybody may write to ${directory} (mode ${mode})`, `chmod 0700 ${directory}`);
  } else if ((spool.mode & 0o077) !== 0) {
    findings.warning(
      `others than its owner may enter ${directory} (mode ${mode}), and events name people`,
      `chmod 0700 ${directory}`,
    );
  } else findings.ok(`${directory} is its owner's alone (mode ${mode})`);
  const left = spool.sources.filter((source) => !source.owned);
  const bytes = (list: typeof left): string => bytesText(list.reduce((sum, source) => sum + source.bytes, 0));
  const owned = spool.sources.filter((source) => source.owned);
  findings.ok(`${counted(owned.length, "source")} of running processes, ${bytes(owned)}`);
  if (left.length > 0) {
    findings.warning(
      `${counted(left.length, "source")} left behind by processes that have ended, ${bytes(left)}`,
      `the application ships them when it runs; those for PostgreSQL also: seclog ship --spool ${directory}`,
    );
  }
  if (spool.quarantineBytes > 0) {
    findings.warning(
      `quarantine.ndjson has ${bytesText(spool.quarantineBytes)} of records that could not be shipped`,
      "each line says why",
    );
  }
  return findings.checks;
}

/** Whether the writer and the reader see the same database. */
export async function checkSameDatabase(writerUrl: string, readerUrl: string): Promise<readonly Check[]> {
  const findings = new Findings("reader");
  const clients: pg.Client[] = [];
  try {
    const names: string[] = [];
    for (const [role, url] of [
      ["writer", writerUrl],
      ["reader", readerUrl],
    ] as const) {
      const client = await connect(role, url);
      clients.push(client);
      // A standby has its primary's identifier.
      const { name } = await one<{ name: string }>(
        client,
        "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || current_database() AS name",
      );
      names.push(name);
    }
    if (names[0] !== names[1]) {
      findings.fault("is in another database than the writer", "correct SECLOG_READER_URL or SECLOG_DATABASE_URL");
    }
  } catch {
    // Whoever could not connect has been told; a server that keeps its identifier to itself cannot be compared.
  } finally {
    for (const client of clients) await client.end().catch(() => {});
  }
  return findings.checks;
}
