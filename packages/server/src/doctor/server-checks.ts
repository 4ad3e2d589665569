/** Whether the server and the connection are fit to hold the log, whatever is in the database. */
import type pg from "pg";
import { type Role, roleConfig, URL_VARIABLES } from "../config/environment.ts";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** What setup asks for, too. */
const OLDEST_SERVER = 14;
/** Clocks further apart than this make times of events hard to compare, and these many seconds are wrong. */
const CLOCK_WARNING_S = 2;
const CLOCK_FAULT_S = 60;

/** Version, encryption and clock. */
export async function checkServer(client: pg.Client, role: Role, url: string, findings: Findings): Promise<void> {
  const { host, port, ssl } = roleConfig(role, url);
  const server = await oneRow<{ version: string; number: number; name: string; database: string; tls: string | null }>(
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
  // As we connected: the server sees a pooler's connection, which may be protected otherwise.
  if (ssl !== false)
    findings.ok(
      `the connection is encrypted${server.tls === null ? "" : ` (${server.tls})`}, the certificate was verified`,
    );
  else if (!/^(\/|127\.|localhost$|::1$)/.test(host ?? "")) {
    findings.warning(
      "the connection is not encrypted, and the server is another machine",
      `take sslmode=disable out of ${URL_VARIABLES[role]}`,
    );
  }
  const before = Date.now();
  const { time } = await oneRow<{ time: string }>(client, "SELECT extract(epoch FROM clock_timestamp()) AS time");
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

/** Whether the administrator can do what setup does. */
export async function checkAdmin(client: pg.Client, findings: Findings): Promise<void> {
  const { able } = await oneRow<{ able: boolean }>(
    client,
    "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) AS able FROM pg_roles WHERE rolname = current_user",
  );
  if (able) findings.ok("may create databases and roles");
  else {
    findings.warning(
      "may not create databases and roles, so setup would fail where they are missing",
      `give the role CREATEDB and CREATEROLE, or let a superuser run what ${commandLine("setup --print-sql")} prints`,
    );
  }
}

/** Whether what is committed stays, and whether anything can be. */
export async function checkDurability(client: pg.Client, findings: Findings): Promise<void> {
  const server = await oneRow<{
    fsync: string;
    pages: string;
    sums: string;
    standby: boolean;
    readonly: string | null;
  }>(
    client,
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
            current_setting('data_checksums') AS sums, pg_is_in_recovery() AS standby,
            (SELECT split_part(c, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) c
             WHERE c LIKE 'default_transaction_read_only=%'
               AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
               AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user)) LIMIT 1) AS readonly`,
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
  /** Logs that each process opens. */
  readonly logs: number;
  readonly poolMax: number;
}

/** Whether the server admits the connections that the applications may open. */
export async function checkConnections(client: pg.Client, limits: PoolLimits, findings: Findings): Promise<void> {
  const server = await oneRow<{ most: number; reserved: number; used: number; role: number; database: number }>(
    client,
    `SELECT current_setting('max_connections')::int AS most,
            current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
            (SELECT sum(numbackends)::int FROM pg_stat_database) AS used,
            (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
            (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database`,
  );
  const need = limits.processes * limits.logs * limits.poolMax;
  const processes = counted(limits.processes, "process", "processes");
  const logs = limits.logs === 1 ? "" : ` × ${counted(limits.logs, "log")}`;
  const sum = `${processes}${logs} × ${limits.poolMax} = ${counted(need, "connection")}`;
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
    findings.fault(
      `${sum}, and ${limit}`,
      `lower poolMax, run fewer processes, share one log in each, put PgBouncer between, or ${remedy}`,
    );
  } else if (need > free / 2) {
    findings.warning(
      `${sum} is more than half of the ${free} that the server admits (${server.used} in use now)`,
      "leave room for other users: raise max_connections or lower poolMax",
    );
  } else findings.ok(`${sum} at most, of ${free} (${server.used} in use now)`);
}
