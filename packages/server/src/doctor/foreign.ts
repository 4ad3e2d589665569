import type pg from "pg";
import { migrations } from "seclog/postgres/schema";
import type { Findings } from "./findings.ts";

/** Finds rules, policies, triggers, partitions and functions that are not Seclog's. */
export async function checkForeign(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ what: string; name: string }>(FOREIGN);
  for (const { what, name } of rows) {
    const [predicate, advice] = SENTENCES[what] ?? [what, "find out who did that"];
    findings.fault(`${name} ${predicate}`, advice);
  }
  const replaced = await replacedFunctions(client);
  for (const name of replaced) {
    findings.fault(
      `the function ${name} is not the one that Seclog created`,
      "find out who replaced it, and do not trust what it has done since. Restore its text from packages/seclog/src/postgres/schema/migrations",
    );
  }
  if (rows.length + replaced.length === 0)
    findings.ok(
      "nothing was added to the log's tables and functions: no row-level security, rule, trigger or partition",
    );
}

const SENTENCES: { readonly [what: string]: readonly [predicate: string, advice: string] } = {
  rls: [
    "has row-level security, which hides rows: every command that reads refuses it",
    "ALTER TABLE … DISABLE ROW LEVEL SECURITY, and find out who enabled it",
  ],
  policy: ["has a row-level policy", "DROP POLICY, and find out who made it"],
  rule: ["has a rule, which can rewrite statements", "DROP RULE, and find out who made it"],
  trigger: [
    "has a trigger that is not Seclog's, which can change or drop events",
    "DROP TRIGGER, and find out who made it",
  ],
  partition: [
    "is a partition that Seclog did not create: a foreign table, or another owner's",
    "DETACH PARTITION or NO INHERIT, and find out who attached it",
  ],
};

/** The log's tables, by name, and everything attached to them. */
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

/** The functions whose text, owner or settings differ from this program's migrations. */
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
  // A newer program may know functions that this one does not.
  return rows
    .filter(({ name, body, is_safe }) => bodies.has(name) && (bodies.get(name) !== body || !is_safe))
    .map(({ name }) => name);
}
