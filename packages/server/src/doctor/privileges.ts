import type pg from "pg";
import { type AccessRole, accessProblems, columnsOf } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { listed } from "../text/words.ts";
import type { Findings } from "./findings.ts";
import { OUR_TABLES } from "./our-tables.ts";

/** Checks whether the role has the privileges that it needs, and no others. */
export async function checkPrivileges(client: pg.Client, role: AccessRole, findings: Findings): Promise<void> {
  const problems = await accessProblems(client, role);
  const { superuser, create, stamp, person } = await oneRow<{
    superuser: boolean;
    create: boolean;
    stamp: boolean;
    person: string | null;
  }>(
    client,
    `SELECT rolsuper AS superuser, has_schema_privilege('public', 'CREATE') AS create,
            has_column_privilege('public.security_event_log', 'created_at', 'INSERT') AS stamp,
            (SELECT string_agg(name, ', ') FROM unnest($1::text[]) AS name
             WHERE has_column_privilege('public.security_event_log', name, 'SELECT')) AS person
     FROM pg_roles WHERE rolname = current_user`,
    [PERSONAL],
  );
  // A superuser has every privilege, which is reported once.
  if (!superuser) {
    if (create) problems.push("it may create objects in the schema public");
    if (stamp) problems.push("it may set an event's time of storage itself (INSERT of created_at)");
    if (role === "sealer" && person !== null) problems.push(`it may read ${person}, which name people`);
    const { rows } = await client.query<{ name: string; held: string }>(
      `SELECT t.name, string_agg(p.privilege, ', ') AS held FROM (${OUR_TABLES}) t,
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
       WHERE t.name LIKE 'security\\_event\\_log\\_%' AND has_table_privilege(t.oid, p.privilege) GROUP BY 1 ORDER BY 1`,
    );
    if (rows.length > 0)
      problems.push(
        `it may ${rows[0]?.held} on ${listed(rows.map(({ name }) => name))}, bypassing the log's own table`,
      );
  }
  for (const [index, problem] of problems.entries()) {
    findings.fault(problem, index === problems.length - 1 ? RENEW : undefined);
  }
  if (problems.length === 0) findings.ok(CAN[role]);
}

const RENEW = `run ${commandLine("setup")}, which restores the groups' privileges, REVOKE what was granted to a login role directly, and find out who changed it`;

/** The columns that erasure blanks and the sealer does not need. */
const PERSONAL = ["salt", ...columnsOf("personal").map(({ name }) => name)];

const CAN = {
  writer: "may insert events and move its own sources' positions, and nothing else",
  reader: "may read everything and change nothing",
  sealer: "may read the columns of leaves and append to the tree, and nothing else",
  relay: "may insert events and move the positions of sources, and nothing else",
  console: "may keep the console's users, sessions and views, and nothing else",
} as const;
