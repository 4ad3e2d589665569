import type pg from "pg";

/** An event that records a change of the log itself. */
export interface OwnEvent {
  readonly id: string;
  readonly source_id: string;
  readonly seq: number;
}

/** Finds the log's own event with a number. */
export async function ownEvent(client: pg.Client, seq: string): Promise<OwnEvent> {
  const { rows } = await client.query<{ id: string; source_id: string }>(
    "SELECT id, source_id FROM public.security_event_log WHERE retention = 'own' AND seq = $1",
    [seq],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`event ${seq} of the log's own source is missing`);
  return { ...row, seq: Number(seq) };
}
