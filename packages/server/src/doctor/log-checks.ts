/** Whether the log's own tables are whole: the schema, who may do what, triggers, partitions, contents. */
import type pg from "pg";
import { errorMessage } from "seclog";
import { type AccessRole, accessProblems, checkSchemaVersion, columnsOf, migrations } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { oneRow } from "../database/failure.ts";
import { sealProgress } from "../integrity/stored-tree.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Whether the tables are there. */
export async function checkSchema(client: pg.Client, findings: Findings): Promise<boolean> {
  const { there } = await oneRow<{ there: boolean }>(
    client,
    "SELECT to_regclass('public.security_event_log') IS NOT NULL AND to_regproc('public.seclog_describe') IS NOT NULL AS there",
  );
  if (!there) {
    findings.fault(
      "the database has no tables of Seclog",
      `run ${commandLine("setup")}, or correct the database's name in the URL`,
    );
    return false;
  }
  try {
    const { applied } = await oneRow<{ applied: { id: number; breaking: boolean }[] | null }>(
      client,
      "SELECT migrations AS applied FROM public.seclog_describe()",
    );
    const warning = checkSchemaVersion(migrations(), applied ?? []);
    if (warning === undefined) findings.ok(`the schema is this program's (migration ${migrations().at(-1)?.id})`);
    else findings.warning(warning, "use the newer seclog here, too");
  } catch (error) {
    findings.fault(errorMessage(error), "the schema and this program do not fit each other");
  }
  return true;
}

/** The log, every partition, and the tables beside it. */
const OUR_TABLES = `
  SELECT c.oid, c.relname::text AS name FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND (c.relname LIKE 'security\\_event\\_%' OR c.relname LIKE 'seclog\\_%')`;

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
      problems.push(`it may ${rows[0]?.held} on ${some(rows.map(({ name }) => name))}, past the log itself`);
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

function some(list: readonly string[]): string {
  const shown = list.slice(0, 6).join(", ");
  return list.length > 6 ? `${shown} and ${list.length - 6} more` : shown;
}

/** Beside the log: what is changed by the functions of the schema only. */
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

/** Whether changes are refused. */
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
      `changes are not refused on ${some(rows.map(({ name }) => name))}: a trigger is missing or disabled`,
      `find out who did that; ALTER TABLE … ENABLE TRIGGER ALL, or run ${commandLine("setup")}`,
    );
  } else findings.ok("UPDATE, DELETE and TRUNCATE are refused on the log, every partition and what proves it");
}

const DAY_MS = 86_400_000;

/** Whether every class has partitions for now and the time to come, and what fell outside. */
export async function checkPartitions(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ parent: string; bound: string }>(
    `SELECT p.relname::text AS parent, pg_get_expr(c.relpartbound, c.oid) AS bound
     FROM pg_partition_tree('public.security_event_log') t
     JOIN pg_class c ON c.oid = t.relid JOIN pg_class p ON p.oid = t.parentrelid
     WHERE t.level = 2 ORDER BY 1, 2`,
  );
  const classes = [...new Set(rows.map(({ parent }) => parent))];
  for (const parent of classes) {
    const ranges = rows
      .filter((row) => row.parent === parent)
      .flatMap(({ bound }) => {
        const [, from, to] = /FROM \('([^']+)'\) TO \('([^']+)'\)/.exec(bound) ?? [];
        return from === undefined || to === undefined ? [] : [{ from, to, start: timeOf(from), end: timeOf(to) }];
      })
      .sort((a, b) => a.start - b.start);
    const end = Math.max(0, ...ranges.map((range) => range.end));
    const days = Math.floor((end - Date.now()) / DAY_MS);
    if (days < 0) {
      findings.fault(`${parent} has no partition for now: events go to its default partition`, PARTITIONS_ADVICE);
    } else if (days < 28)
      findings.warning(`the partitions of ${parent} end in ${counted(days, "day")}`, PARTITIONS_ADVICE);
    else findings.ok(`the partitions of ${parent} reach ${counted(days, "day")} ahead`);
    for (const { from, to } of gaps(ranges)) {
      findings.warning(
        `${parent} has no partition from ${from} to ${to}: events of that time go to its default partition`,
        PARTITIONS_ADVICE,
      );
    }
    const outside = await countOutside(client, parent, ranges);
    if (outside > 0) {
      findings.warning(
        `${counted(outside, "event")} in the default partition of ${parent}: a clock was wrong, or partitions were missing`,
        "seclog seal takes over what is of the months that it makes, up to 300,000 events of each; look at the others' occurred_at",
      );
    }
  }
  if (classes.length === 0) findings.fault("the log has no partitions", `run ${commandLine("setup")}`);
}

const PARTITIONS_ADVICE = "seclog seal makes them when it starts and hourly, and seclog setup does: run one of them";

function timeOf(text: string): number {
  return Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`);
}

/** What no partition holds between now and the last one's end. */
function gaps(
  ranges: readonly { readonly start: number; readonly end: number }[],
): { readonly from: string; readonly to: string }[] {
  const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
  const found: { from: string; to: string }[] = [];
  let covered = Date.now();
  for (const { start, end } of ranges) {
    if (start > covered) found.push({ from: day(covered), to: day(start) });
    covered = Math.max(covered, end);
  }
  return found;
}

/** Events of a retention class that no monthly partition holds; the conditions let PostgreSQL prune all those. */
async function countOutside(
  client: pg.Client,
  parent: string,
  ranges: readonly { readonly from: string; readonly to: string }[],
): Promise<number> {
  const retention = parent.replace(/^security_event_log_/, "");
  const values: string[] = [retention];
  const parameter = (value: string): string => `$${values.push(value)}::timestamptz`;
  const conditions = ranges.map((range, index) => {
    const after = ranges[index - 1];
    const upTo = `occurred_at < ${parameter(range.from)}`;
    return after === undefined ? upTo : `(occurred_at >= ${parameter(after.to)} AND ${upTo})`;
  });
  const last = ranges.at(-1);
  if (last !== undefined) conditions.push(`occurred_at >= ${parameter(last.to)}`);
  const where = conditions.length === 0 ? "true" : conditions.join(" OR ");
  const { events } = await oneRow<{ events: string }>(
    client,
    `SELECT count(*) AS events FROM public.security_event_log WHERE retention = $1 AND (${where})`,
    values,
  );
  return Number(events);
}

/** What the tables hold. */
export async function checkContents(client: pg.Client, findings: Findings): Promise<void> {
  const { sources, aside, latest } = await oneRow<{ sources: string; aside: string; latest: Date | null }>(
    client,
    // The database's own events say nothing of the applications.
    `WITH source AS (
       SELECT * FROM public.security_event_source WHERE id <> (SELECT own_source FROM public.security_event_tree))
     SELECT (SELECT count(*) FROM source) AS sources,
            (SELECT count(*) FROM public.security_event_quarantine) AS aside,
            (SELECT max(updated_at) FROM source WHERE last_seq > 0) AS latest`,
  );
  if (Number(aside) > 0) {
    findings.warning(
      `${counted(Number(aside), "event")} could not be stored and ${aside === "1" ? "is" : "are"} set aside`,
      "SELECT source_id, seq, reason FROM security_event_quarantine says why",
    );
  }
  if (latest === null) findings.ok("no application has stored an event yet");
  else
    findings.ok(
      `${counted(Number(sources), "source")}; the last batch came ${latest.toISOString().slice(0, 19).replace("T", " ")} UTC`,
    );
}

/** Whether each application has a login of its own, as far as the sources of the last month show it. */
export async function checkLogins(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ login: string; services: string[] }>(
    `WITH recent AS (
       SELECT id, login, last_seq FROM public.security_event_source
       WHERE login IS NOT NULL AND updated_at > now() - interval '30 days' ORDER BY updated_at DESC LIMIT 1000
     ), named AS (
       SELECT login, (SELECT service FROM public.security_event_log AS log WHERE log.source_id = recent.id
         -- A writer may have put rows beyond a source's position.
         AND log.seq <= recent.last_seq ORDER BY log.seq DESC LIMIT 1) AS service FROM recent)
     SELECT login::text, array_agg(DISTINCT service) AS services FROM named WHERE service IS NOT NULL
     GROUP BY login HAVING count(DISTINCT service) > 1 ORDER BY login`,
  );
  for (const { login, services } of rows) {
    findings.warning(
      `the login ${login} is shared by the services ${some(services)}: each may disturb the others' sources`,
      "give each application a login of its own: seclog setup with another user in SECLOG_DATABASE_URL",
    );
  }
}

/** Unsealed for longer than this is more than a sealer that takes its turn. */
const UNSEALED_WARNING_S = 60;

/** Whether somebody seals, and keeps up. */
export async function checkSealing(client: pg.Client, findings: Findings): Promise<void> {
  const { size, sealedAt, oldestUnsealed } = await sealProgress(client);
  if (sealedAt === null) {
    findings.skipped("nothing is sealed yet: seclog seal has not run on this log");
    return;
  }
  const seconds = Math.floor(oldestUnsealed);
  if (seconds > UNSEALED_WARNING_S) {
    findings.warning(
      `the oldest event that is not sealed was stored ${durationText(seconds)} ago`,
      "is seclog seal running? What it prints says why it does not get on",
    );
  } else findings.ok(`the tree has ${size.toLocaleString("en")} leaves, and what is new is sealed in time`);
}

/** Numbers that sources have passed without an event, by the login that opened them: no application does that, and no writer can any more. */
export async function checkEmptyNumbers(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ login: string | null; sources: string; numbers: string }>(
    `WITH pending AS (
       SELECT source.id, source.login::text AS login, source.last_seq, coalesce(sealed.last_seq, 0) AS sealed
         FROM public.security_event_source AS source
           LEFT JOIN LATERAL (SELECT seal.last_seq FROM public.security_event_seal AS seal
             WHERE seal.source_id = source.id ORDER BY seal.first_seq DESC LIMIT 1) AS sealed ON true
         WHERE source.last_seq > coalesce(sealed.last_seq, 0))
     SELECT login, count(*) AS sources, sum(last_seq - sealed) AS numbers FROM pending
       WHERE NOT EXISTS (SELECT FROM public.security_event_log AS log
           WHERE log.source_id = pending.id AND log.seq > pending.sealed AND log.seq <= pending.last_seq)
         AND NOT EXISTS (SELECT FROM public.security_event_quarantine AS aside
           WHERE aside.source_id = pending.id AND aside.seq > pending.sealed AND aside.seq <= pending.last_seq)
       GROUP BY 1 ORDER BY 3 DESC LIMIT 5`,
  );
  for (const { login, sources, numbers } of rows) {
    findings.warning(
      `${counted(Number(sources), "source")}${login === null ? "" : ` that ${login} opened`} ${sources === "1" ? "has" : "have"} passed ${counted(BigInt(numbers), "number")} without an event`,
      "no application does that: find out who uses that login. They are sealed behind everything else, as missing, and seclog verify names them",
    );
  }
}

function durationText(seconds: number): string {
  if (seconds < 120) return counted(seconds, "second");
  if (seconds < 7_200) return counted(Math.floor(seconds / 60), "minute");
  if (seconds < 172_800) return counted(Math.floor(seconds / 3_600), "hour");
  return counted(Math.floor(seconds / 86_400), "day");
}
