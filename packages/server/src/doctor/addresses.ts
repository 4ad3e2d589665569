/** Checks whether the addresses in the log belong to clients, or to the proxy in front of the applications. */
import type pg from "pg";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Networks without Internet clients: RFC 1918, 3927, 4193, 6598 and loopback. */
const PRIVATE = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "100.64.0.0/10",
  "::1",
  "fc00::/7",
  "fe80::/10",
];

/** Fewer events may come from one person who tries things out. */
const HANDFUL = 20;
/** Looks at the last week's events with requests, the newest so many. */
const NEWEST = 20_000;

export async function checkAddresses(client: pg.Client, findings: Findings): Promise<void> {
  const { rows } = await client.query<{ service: string | null; events: string; known: string }>(
    `SELECT service, count(*) AS events, count(ip_address) AS known FROM (
       SELECT service, ip_address FROM public.security_event_log
       WHERE occurred_at > now() - interval '7 days' AND (method IS NOT NULL OR path IS NOT NULL)
       ORDER BY occurred_at DESC LIMIT $2) AS newest
     GROUP BY service
     HAVING count(*) >= $3 AND bool_and(ip_address IS NULL OR ip_address <<= ANY ($1::inet[]))
     ORDER BY service`,
    [PRIVATE, NEWEST, HANDFUL],
  );
  for (const { service, events, known } of rows) {
    const from = service === null ? "a log without a service" : `service ${service}`;
    const have = Number(known) === 0 ? "no address" : "a private address";
    findings.warning(
      `all ${counted(Number(events), "recent event")} of ${from} have ${have}: probably a proxy's, unless every client is in your own network`,
      "name the proxy in clientIp.trust of createSecurityLog, or in the framework's own setting; for the lines see docs/api.md, Behind a proxy",
    );
  }
}
