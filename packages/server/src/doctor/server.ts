import type pg from "pg";
import { type Role, roleConfig, URL_VARIABLES } from "../config/environment.ts";
import { oneRow } from "../database/failure.ts";
import type { Findings } from "./findings.ts";

/** The same as setup's. */
const OLDEST_SERVER = 14;
/** Beyond the first, event times are hard to compare; beyond the second, a clock is wrong. */
const CLOCK_WARNING_S = 2;
const CLOCK_FAULT_S = 60;

/** Checks version, encryption and clock. */
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
  // Judges our own connection: behind a pooler, the server sees another one.
  if (ssl !== false)
    findings.ok(
      `the connection is encrypted${server.tls === null ? "" : ` (${server.tls})`}, the certificate was verified`,
    );
  else if (!/^(\/|127\.|localhost$|::1$)/.test(host ?? "")) {
    findings.warning(
      "the connection to another machine is not encrypted",
      `remove sslmode=disable from ${URL_VARIABLES[role]}`,
    );
  }
  const before = Date.now();
  const { time } = await oneRow<{ time: string }>(client, "SELECT extract(epoch FROM clock_timestamp()) AS time");
  const after = Date.now();
  // The server read its clock at some moment in between: only a time outside that span is certainly different.
  const seconds = Number(time) - (before + after) / 2000;
  const certain = Math.max(0, Math.abs(seconds) - (after - before) / 2000);
  const words = `the server's clock is ${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? "ahead of" : "behind"} this machine's`;
  const advice = "synchronize both machines with NTP";
  if (certain > CLOCK_FAULT_S) findings.fault(words, advice);
  else if (certain > CLOCK_WARNING_S) findings.warning(words, advice);
  else findings.ok("the clocks of the server and this machine agree");
}
