import type pg from "pg";
import { oneRow } from "../database/failure.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Summarizes the contents of the tables. */
export async function checkContents(client: pg.Client, findings: Findings): Promise<void> {
  const { sources, aside, latest } = await oneRow<{ sources: string; aside: string; latest: Date | null }>(
    client,
    // The log's own events say nothing about the applications.
    `WITH source AS (
       SELECT * FROM public.security_event_source WHERE id <> (SELECT own_source FROM public.security_event_tree))
     SELECT (SELECT count(*) FROM source) AS sources,
            (SELECT count(*) FROM public.security_event_quarantine) AS aside,
            (SELECT max(updated_at) FROM source WHERE last_seq > 0) AS latest`,
  );
  if (Number(aside) > 0) {
    findings.warning(
      `${counted(Number(aside), "event")} could not be stored and ${aside === "1" ? "is" : "are"} set aside`,
      "for the reasons: SELECT source_id, seq, reason FROM security_event_quarantine",
    );
  }
  if (latest === null) findings.ok("no application has stored an event yet");
  else
    findings.ok(
      `${counted(Number(sources), "source")} of applications; last batch at ${latest.toISOString().slice(0, 19).replace("T", " ")} UTC`,
    );
}
