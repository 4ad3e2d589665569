/**
 * What somebody may have done to the database around the log: who keeps it locked, what makes it show or store other than it was
 * made to, and settings of roles that shut others out.
 */
import type pg from "pg";
import { migrations } from "seclog/postgres/schema";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Whether somebody holds a lock that others wait for, or a transaction that has been open for long. */
export async function checkLocks(client: pg.Client, findings: Findings): Promise<void> {
  // Without pg_read_all_stats only one's own transactions have times: others are found by who waits for them.
  const { rows } = await client.query<{
    pid: number;
    who: string;
    application: string;
    age: number | null;
    waiting: string;
  }>(
    `SELECT activity.pid, activity.usename::text AS who, activity.application_name AS application,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::int AS age,
        (SELECT count(*) FROM pg_locks AS waiting WHERE NOT waiting.granted
          AND waiting.waitstart < clock_timestamp() - interval '5 seconds' AND activity.pid = ANY (pg_blocking_pids(waiting.pid))) AS waiting
      FROM pg_stat_activity AS activity
      WHERE activity.datname = current_database() AND activity.pid <> pg_backend_pid() AND EXISTS (SELECT FROM pg_locks AS held
        JOIN pg_class AS c ON c.oid = held.relation AND c.relnamespace = 'public'::regnamespace
        WHERE held.pid = activity.pid AND held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
      ORDER BY activity.pid`,
  );
  for (const { pid, who, application, age, waiting } of rows) {
    if (Number(waiting) === 0 && (age ?? 0) < LONG_S) continue;
    const since = age === null ? "" : ` for ${counted(age, "second")}`;
    findings.warning(
      `process ${pid} (${who}, ${application || "no name"}) has held locks on the log${since}${Number(waiting) > 0 ? `, and ${counted(Number(waiting), "session")} wait for it` : ""}`,
      `find out what it does; SELECT pg_terminate_backend(${pid}) ends it`,
    );
  }
}

/** A transaction that has touched the log for longer holds up partitions and pruning. */
const LONG_S = 300;

/** Rules, policies, triggers, partitions and functions that are not Seclog's. */
export async function checkForeign(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ what: string; name: string }>(FOREIGN);
  for (const { what, name } of rows) {
    const [says, advice] = SENTENCES[what] ?? [what, "find out who did that"];
    findings.fault(`${name} ${says}`, advice);
  }
  const replaced = await replacedFunctions(client);
  for (const name of replaced) {
    findings.fault(
      `the function ${name} is not the one that Seclog made`,
      "find out who replaced it; what it did since then proves nothing. Take its text from packages/seclog/src/postgres/schema/migrations",
    );
  }
  if (rows.length + replaced.length === 0)
    findings.ok(
      "nothing was added to the log's tables and functions: no row-level security, rule, trigger or partition",
    );
}

const SENTENCES: { readonly [what: string]: readonly [says: string, advice: string] } = {
  rls: [
    "has row-level security, which hides rows: every reading command refuses it",
    "ALTER TABLE … DISABLE ROW LEVEL SECURITY, and find out who enabled it",
  ],
  policy: ["has a row-level policy", "DROP POLICY, and find out who made it"],
  rule: ["has a rule, which can turn statements into others", "DROP RULE, and find out who made it"],
  trigger: [
    "has a trigger that is not Seclog's, which can change or drop events",
    "DROP TRIGGER, and find out who made it",
  ],
  partition: [
    "belongs to the log and was not made by Seclog: a foreign table, or one of another owner",
    "DETACH PARTITION or NO INHERIT, and find out who attached it",
  ],
};

/** The log's tables: all that Seclog names so, and whatever hangs on them. */
const FOREIGN = `
  WITH ours AS (
    SELECT oid, relname, relkind, relowner, relrowsecurity OR relforcerowsecurity AS secured FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')
        AND (relname LIKE 'security\\_event\\_%' OR relname LIKE 'seclog\\_%')),
  owner AS (SELECT relowner AS id FROM pg_class WHERE oid = 'public.security_event_log'::regclass)
  SELECT 'rls' AS what, relname::text AS name FROM ours WHERE secured
  UNION ALL SELECT 'policy', format('%s (%s)', relname, polname) FROM pg_policy JOIN ours ON ours.oid = polrelid
  UNION ALL SELECT 'rule', format('%s (%s)', relname, rulename) FROM pg_rewrite JOIN ours ON ours.oid = ev_class
  UNION ALL SELECT 'trigger', format('%s (%s)', relname, tgname) FROM pg_trigger JOIN ours ON ours.oid = tgrelid
    WHERE NOT tgisinternal AND tgname NOT LIKE 'seclog\\_%'
  UNION ALL SELECT 'partition', inhrelid::regclass::text FROM pg_inherits JOIN ours AS parent ON parent.oid = inhparent
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE child.relkind NOT IN ('r', 'p') OR child.relowner <> (SELECT id FROM owner) OR NOT child.relispartition
      OR child.relnamespace <> 'public'::regnamespace
  ORDER BY 1, 2`;

/** Functions whose text, owner or way of running is not what the migrations of this program say. */
async function replacedFunctions(client: pg.Client): Promise<string[]> {
  const bodies = new Map<string, string>();
  for (const { sql } of migrations()) {
    for (const [, name = "", body = ""] of sql.matchAll(
      /CREATE (?:OR REPLACE )?FUNCTION public\.(\w+)\([\s\S]*?\bAS \$\$([\s\S]*?)\$\$/g,
    ))
      bodies.set(name, body);
  }
  const { rows } = await client.query<{ name: string; body: string; is_safe: boolean }>(
    `SELECT proname::text AS name, prosrc AS body,
        proowner = (SELECT relowner FROM pg_class WHERE oid = 'public.security_event_log'::regclass)
          AND array_to_string(proconfig, ',') LIKE '%search_path=pg_catalog, pg_temp%' AS is_safe
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'seclog\\_%' ORDER BY 1`,
  );
  // Of one that this program does not know a newer one may.
  return rows
    .filter(({ name, body, is_safe }) => bodies.has(name) && (bodies.get(name) !== body || !is_safe))
    .map(({ name }) => name);
}

/** Settings that somebody gave a role or the database, and that keep others from their work or show them something else. */
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
      `${role} has the setting ${setting}, which Seclog has not given it`,
      "any role may set its own: find out who did, ALTER ROLE … RESET it, and change the role's password if nobody knows",
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
