import type pg from "pg";

/** An event by which something is on record. */
export interface OwnEvent {
  readonly id: string;
  readonly source_id: string;
  readonly seq: number;
}

/** The log's own event of a number. */
export async function ownEvent(client: pg.Client, seq: string): Promise<OwnEvent> {
  const { rows } = await client.query<{ id: string; source_id: string }>(
    "SELECT id, source_id FROM public.security_event_log WHERE retention = 'own' AND seq = $1",
    [seq],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`the event ${seq} of the log itself is not there`);
  return { ...row, seq: Number(seq) };
}
