import type pg from "pg";
import { oneRow } from "../database/failure.ts";
import type { Findings } from "./findings.ts";

/** Checks whether commits survive a crash, and whether the role can commit at all. */
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
    findings.fault(
      "the server is a standby, which accepts no events",
      "name the primary's host in SECLOG_DATABASE_URL",
    );
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
  } else findings.ok("commits survive a power loss (fsync, full_page_writes)");
  if (server.sums === "off") {
    findings.warning(
      "data checksums are off: a failing disk goes unnoticed",
      "stop the server and run pg_checksums --enable",
    );
  }
}
