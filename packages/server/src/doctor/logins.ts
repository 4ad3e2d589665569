import type pg from "pg";
import { listed } from "../text/words.ts";
import type { Findings } from "./findings.ts";

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
      `the login ${login} is shared by the services ${listed(services)}: each may disturb the others' sources`,
      "give each application a login of its own: seclog setup with another user in SECLOG_DATABASE_URL",
    );
  }
}
