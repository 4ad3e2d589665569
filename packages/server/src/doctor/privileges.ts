import type pg from "pg";
import { type AccessRole, accessProblems, columnsOf } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { listed } from "../text/words.ts";
import type { Findings } from "./findings.ts";
import { OUR_TABLES } from "./our-tables.ts";

/** Whether the role may do what it must, and nothing else. */
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
  // Who has all privileges has each.
  if (!superuser) {
    if (create) problems.push("it may create objects in the schema public");
    if (stamp) problems.push("it may say itself when an event was stored (INSERT of created_at)");
    if (role === "sealer" && person !== null) problems.push(`it may read ${person}, which name people`);
    const { rows } = await client.query<{ name: string; held: string }>(
      `SELECT t.name, string_agg(p.privilege, ', ') AS held FROM (${OUR_TABLES}) t,
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
       WHERE t.name LIKE 'security\\_event\\_log\\_%' AND has_table_privilege(t.oid, p.privilege) GROUP BY 1 ORDER BY 1`,
    );
    if (rows.length > 0)
      problems.push(`it may ${rows[0]?.held} on ${listed(rows.map(({ name }) => name))}, past the log itself`);
  }
  for (const [index, problem] of problems.entries()) {
    findings.fault(problem, index === problems.length - 1 ? RENEW : undefined);
  }
  if (problems.length === 0) findings.ok(CAN[role]);
}

const RENEW = `run ${commandLine("setup")}, which puts the groups' privileges right, REVOKE what a login role was given itself, and find out who changed it`;

/** What erasure blanks, and the sealer has no need of. */
const PERSONAL = ["salt", ...columnsOf("personal").map(({ name }) => name)];

const CAN = {
  writer: "may insert events and move its own sources' positions, and nothing else",
  reader: "may read everything and change nothing",
  sealer: "may read what leaves are made of and append to the tree, and nothing else",
} as const;
