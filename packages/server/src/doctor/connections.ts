import type pg from "pg";
import { oneRow } from "../database/failure.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** The connections that the applications may open. */
export interface PoolLimits {
  readonly processes: number;
  /** Logs that each process opens. */
  readonly logs: number;
  readonly poolMax: number;
}

/** Checks whether the server admits the connections that the applications may open. */
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
      `lower poolMax, run fewer processes, share one log in each, put PgBouncer in between, or ${remedy}`,
    );
  } else if (need > free / 2) {
    findings.warning(
      `${sum} is more than half of the ${free} that the server admits (${server.used} in use now)`,
      "leave room for other users: raise max_connections or lower poolMax",
    );
  } else findings.ok(`${sum} at most, of ${free} (${server.used} in use now)`);
}
