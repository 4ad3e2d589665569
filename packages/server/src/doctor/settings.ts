import type pg from "pg";
import type { Findings } from "./findings.ts";

/** Finds settings of a role or the database that could block other sessions or change what they see. */
export async function checkSettings(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ role: string; setting: string }>(
    `SELECT coalesce(role.rolname::text, 'the database') AS role, setting
      FROM pg_db_role_setting AS given CROSS JOIN unnest(given.setconfig) AS setting
        LEFT JOIN pg_roles AS role ON role.oid = given.setrole
      WHERE given.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND (given.setrole = 0 OR EXISTS (SELECT FROM pg_roles AS ours WHERE ours.rolname LIKE 'seclog\\_%'
          AND pg_has_role(given.setrole, ours.oid, 'MEMBER') AND NOT role.rolsuper))
        AND split_part(setting, '=', 1) = ANY ($1)
      ORDER BY 1, 2`,
    [SHUTTING_OUT],
  );
  for (const { role, setting } of rows) {
    findings.warning(
      `${role} has the setting ${setting}, which Seclog did not make`,
      "any role may set its own: find out who did, ALTER ROLE … RESET it, and if that stays unclear, change the role's password",
    );
  }
}

const SHUTTING_OUT = [
  ..."default_transaction_read_only default_transaction_isolation default_transaction_deferrable search_path role".split(
    " ",
  ),
  ..."statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout".split(
    " ",
  ),
  ..."synchronous_commit row_security session_replication_role default_tablespace temp_tablespaces work_mem".split(" "),
  ..."client_encoding datestyle timezone bytea_output standard_conforming_strings enable_indexscan local_preload_libraries".split(
    " ",
  ),
  ..."session_preload_libraries log_statement tcp_user_timeout client_connection_check_interval".split(" "),
];
