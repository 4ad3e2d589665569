/** A log with a few distinctive events, and many ordinary ones. */
import pg from "pg";
import type { TestDatabase } from "./postgres.ts";

/** A row of an event; columns that are left out have ordinary values. */
export interface Inserted {
  readonly source: string;
  readonly seq: number;
  readonly type?: string;
  readonly level?: string;
  readonly at?: string;
  readonly ip?: string;
  readonly actor?: string;
  readonly path?: string;
  readonly data?: string;
  readonly agent?: string;
}

/** A row and its source's position, as the writer's functions leave them. */
export async function insert(client: Pick<pg.Client, "query">, event: Inserted): Promise<void> {
  await client.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, ip_address, actor_id, path, data,
       user_agent, logger, source_id, epoch, seq, v, commitment)
     VALUES (gen_random_uuid(), $3, $4, $5, 'test', 'failure', $6, $7, $8, $9, $10, 'security', $1, 1, $2, 1, '')`,
    [
      event.source,
      event.seq,
      event.at ?? new Date().toISOString(),
      event.type ?? "authz_fail",
      event.level ?? "warning",
      event.ip ?? null,
      event.actor ?? null,
      event.path ?? null,
      event.data ?? null,
      event.agent ?? null,
    ],
  );
  await client.query(
    `INSERT INTO security_event_source (id, epoch, last_seq, key_hash, updated_at) VALUES ($1, 1, $2, '', clock_timestamp())
     ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq, updated_at = clock_timestamp()`,
    [event.source, event.seq],
  );
}

export const SOURCE_A: string = "01a00000-0000-7000-8000-00000000000a";
export const SOURCE_B: string = "01a00000-0000-7000-8000-00000000000b";
export const SOURCE_C: string = "01a00000-0000-7000-8000-00000000000c";
export const SOURCE_D: string = "01a00000-0000-7000-8000-00000000000d";
export const HOSTILE: string = "/\x1b]8;;http://evil\x07\x1b[2J\u202e\u200b\r\n\u{e0041}";

/** What the program's tests look for. Two of the years have no partition of their own. */
export async function seedLog(database: TestDatabase): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  const events: Omit<Inserted, "source" | "seq">[] = [
    {
      type: "authn_login_fail",
      ip: "203.0.113.9",
      actor: "alice",
      path: "/login",
      data: '{"reason":"wrong \\"word\\""}',
    },
    { type: "authn_login_success", level: "info", ip: "203.0.113.77", actor: "bob", path: "/login" },
    { type: "authz_fail", level: "critical", ip: "198.51.100.1", actor: "alice", path: "/admin/100%_sure" },
    { type: "authz_fail", level: "error", ip: "2001:db8::1", path: "/admin/100 percent sure" },
    { type: "malicious_csrf", path: HOSTILE, actor: "x\u202ey", agent: "a\x1bb" },
    { type: "authz_fail", at: "2020-02-02T10:00:00Z", actor: "carol" },
  ];
  for (const [index, event] of events.entries()) await insert(client, { source: SOURCE_A, seq: index + 1, ...event });
  await client.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
     SELECT gen_random_uuid(), '2021-05-05T05:05:05Z', 'many', 'info', 'test', 'success', 'security', $1, 1, n, 1, ''
     FROM generate_series(1, 12000) n`,
    [SOURCE_B],
  );
  await client.end();
}
