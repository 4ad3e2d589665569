import type pg from "pg";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Finds numbers that sources skipped, by the login that opened them. No application skips numbers, and no writer can any more. */
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
      `${counted(Number(sources), "source")}${login === null ? "" : ` that ${login} opened`} ${sources === "1" ? "has" : "have"} skipped ${counted(BigInt(numbers), "number")}`,
      "no application does that: find out who uses the login. The numbers are sealed last, as missing, and seclog verify names them",
    );
  }
}
