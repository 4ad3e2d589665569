import type pg from "pg";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { listed } from "../text/words.ts";
import type { Findings } from "./findings.ts";
import { OUR_TABLES } from "./our-tables.ts";

/** The other tables that only the schema's functions may change. */
const GUARDED = [
  "security_event_quarantine",
  "security_event_seal",
  "security_event_tile",
  "security_event_checkpoint",
  "security_event_signature",
  "security_event_key",
  "security_event_removed",
  "security_event_hold",
  "security_event_tree",
];

/** Checks whether the tables refuse changes. */
export async function checkTriggers(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT t.name FROM (${OUR_TABLES}) t, unnest(ARRAY['seclog_append_only', 'seclog_no_truncate', 'seclog_own_only', 'seclog_commit']) AS wanted
     WHERE CASE wanted
         WHEN 'seclog_own_only' THEN t.name = 'security_event_log_own'
         WHEN 'seclog_commit' THEN t.name = 'security_event_quarantine'
         ELSE t.oid IN (SELECT relid FROM pg_partition_tree('public.security_event_log')) OR t.name = ANY ($1)
       END
       AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgname = wanted AND g.tgenabled <> 'D')
     GROUP BY 1 ORDER BY 1`,
    [GUARDED],
  );
  const { login } = await oneRow<{ login: boolean }>(
    client,
    `SELECT r.rolcanlogin AS login FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
     WHERE c.oid = 'public.security_event_log'::regclass`,
  );
  if (login)
    findings.fault("the owner of the tables can log in, and could change them", "ALTER ROLE seclog_owner NOLOGIN");
  if (rows.length > 0) {
    findings.fault(
      `${listed(rows.map(({ name }) => name))} would accept changes: a trigger is missing or disabled`,
      `find out who did that; ALTER TABLE … ENABLE TRIGGER ALL, or run ${commandLine("setup")}`,
    );
  } else findings.ok("the log, its partitions and its proofs refuse UPDATE, DELETE and TRUNCATE");
}
