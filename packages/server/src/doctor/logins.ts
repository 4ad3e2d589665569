import type pg from "pg";
import { listed } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Checks whether each application has its own login, judging by the last month's sources. */
export async function checkLogins(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ login: string; services: string[] }>(
    `WITH recent AS (
       SELECT id, login, last_seq FROM public.security_event_source
       -- A relay stores the events of many applications with its one login.
       WHERE login IS NOT NULL AND sender IS NULL AND updated_at > now() - interval '30 days' ORDER BY updated_at DESC LIMIT 1000
     ), named AS (
       SELECT login, (SELECT service FROM public.security_event_log AS log WHERE log.source_id = recent.id
         -- A hostile writer may have stored rows beyond a source's position.
         AND log.seq <= recent.last_seq ORDER BY log.seq DESC LIMIT 1) AS service FROM recent)
     SELECT login::text, array_agg(DISTINCT service) AS services FROM named WHERE service IS NOT NULL
     GROUP BY login HAVING count(DISTINCT service) > 1 ORDER BY login`,
  );
  for (const { login, services } of rows) {
    findings.warning(
      `the services ${listed(services)} share the login ${login}: each can interfere with the others' sources`,
      "give each application its own login: run seclog setup with another user in SECLOG_DATABASE_URL",
    );
  }
}
