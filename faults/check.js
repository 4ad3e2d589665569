/** The checker: compares the ledger with the database by set algebra, as Jepsen's tests do. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import pg from "pg";

/** The columns that the application sets: by its call, its request and its log's options. */
const COLUMNS = [
  ...["event_type", "category", "level", "outcome", "logger", "service", "environment", "host", "method"],
  ...["method_original", "path", "route", "status_code", "allowed_methods", "ip_address", "ip_source", "user_agent"],
  ...[
    "request_host",
    "request_id",
    "trace_id",
    "span_id",
    "actor_id",
    "actor_type",
    "target_id",
    "target_type",
    "count",
  ],
  ...["started_at", "ended_at", "data"],
];

/** The resolution of the clocks, and how far the log's may lag behind the machine's, in milliseconds. */
const SLACK_MS = 5;
/** How far the log's clock may run ahead of the machine's, once that was set back, before events are flagged. In ms. */
const AHEAD_MS = 1_000;

/**
 * A short hash of all that an event's row must contain. The ledger gets it before the call, the checker computes it
 * afterwards.
 *
 * @param {object} row its values by column; an absent value counts as `null`
 */
export function contentHash(row) {
  const values = COLUMNS.map((name) => ordered(name.endsWith("_at") && row[name] ? new Date(row[name]) : row[name]));
  return createHash("sha256").update(JSON.stringify(values)).digest("hex").slice(0, 24);
}

/** The same value, with the members of every object sorted. */
function ordered(value) {
  if (typeof value !== "object" || value === null || value instanceof Date) return value ?? null;
  if (Array.isArray(value)) return value.map(ordered);
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, ordered(value[name])]));
}

/**
 * @typedef {object} Verdict
 * @property {number} tried calls that were made
 * @property {number} acknowledged calls whose promise resolved
 * @property {number} stored rows with distinct keys
 * @property {number} lost acknowledged but not stored, unless counted as quarantined
 * @property {number} twice rows that repeat a key, an id or a (source, seq), or that are in quarantine as well
 * @property {number} unexpected rows without a call, with other content than was recorded or a time outside the call;
 *   and records in quarantine that the fault did not damage
 * @property {number} holes numbers of an application's source that are neither stored nor in quarantine
 * @property {number} quarantined acknowledged, not stored, and in quarantine because the fault damaged it on purpose
 * @property {number} recovered stored though not acknowledged: allowed
 */

/** Seclog's rows, without the log's own events. */
const SECLOG_ROWS = `SELECT id, source_id || '/' || seq AS place, (extract(epoch FROM occurred_at) * 1000)::float8 AS occurred,
    ${COLUMNS.join(", ").replace("count", "count::int")}
  FROM security_event_log WHERE category <> 'log'`;

/**
 * Per source: numbers up to its position that are missing, and numbers beyond it that exist. Over all: numbers that are
 * both stored and in quarantine.
 */
const PLACES = `WITH places AS (
    SELECT source_id, seq FROM security_event_log UNION SELECT source_id, seq FROM security_event_quarantine
  ), counts AS (
    SELECT s.last_seq, count(p.seq) FILTER (WHERE p.seq BETWEEN 1 AND s.last_seq) AS inside,
      count(p.seq) FILTER (WHERE p.seq NOT BETWEEN 1 AND s.last_seq) AS outside
    FROM security_event_source s LEFT JOIN places p ON p.source_id = s.id
    WHERE s.id <> (SELECT own_source FROM security_event_tree) GROUP BY s.id
  )
  SELECT coalesce(sum(last_seq - inside + outside), 0)::int AS holes,
    (SELECT coalesce(json_agg(json_build_object('place', source_id || '/' || seq, 'record', encode(record, 'base64'))), '[]')
       FROM security_event_quarantine) AS quarantine,
    (SELECT count(*)::int FROM security_event_quarantine q
       WHERE EXISTS (SELECT FROM security_event_log e WHERE e.source_id = q.source_id AND e.seq = q.seq)) AS both
  FROM counts`;

/**
 * @typedef {object} Damaged an event that the fault damaged on purpose: it may be in quarantine instead
 * @property {string} place its `<source>/<seq>`
 * @property {string} [key] absent for the log's own events
 */

/**
 * @param {string} ledgerFile
 * @param {string} adminUrl a superuser's URL of the database with the events
 * @param {object} options
 * @param {string} [options.select] returns the columns of each row, and `id`, `place` and `occurred` where they exist
 * @param {Iterable<Damaged>} [options.damaged] the only events that may be in quarantine
 * @param {boolean} [options.torn] a power cut took what was not synced, so incomplete events may be in quarantine as
 *   well. Had one been acknowledged, it would count as lost
 * @param {number} [options.onRecord] how many numbers a queue lost and a worker put into quarantine as lost
 * @param {number} [options.setBack] how many milliseconds the fault set the clock back, perhaps during a call
 * @returns {Promise<Verdict>}
 */
export async function check(
  ledgerFile,
  adminUrl,
  { select = SECLOG_ROWS, damaged = [], torn = false, setBack = 0, onRecord = 0 } = {},
) {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { missing, ...found } = await compare(ledgerFile, client, select, setBack);
    const [{ holes, quarantine, both }] = (await client.query(PLACES)).rows;
    const inQuarantine = new Set(quarantine.filter(({ record }) => !torn || isWhole(record)).map(({ place }) => place));
    let quarantined = 0;
    for (const { place, key } of damaged) if (inQuarantine.delete(place) && missing.delete(key)) quarantined++;
    const unexpected = found.unexpected + inQuarantine.size - onRecord;
    const known = Math.min(missing.size, onRecord);
    quarantined += known;
    return { ...found, lost: missing.size - known, twice: found.twice + both, unexpected, holes, quarantined };
  } finally {
    await client.end();
  }
}

/** Bytes of a frame's head in a segment. */
const HEAD_BYTES = 24;

/** Whether bytes from the quarantine are an event in canonical form, with or without the head of its frame. */
function isWhole(base64) {
  const bytes = Buffer.from(base64, "base64");
  return [0, HEAD_BYTES].some((from) => {
    const parts = bytes.subarray(from).toString().split("\n");
    try {
      return parts.length >= 2 && parts.slice(0, 2).every((part) => typeof JSON.parse(part) === "object");
    } catch {
      return false;
    }
  });
}

/**
 * The calls by key, and the keys that were acknowledged. A call ends when its life starts the next one, and when it is
 * answered. A call without an end in the ledger ends now: any time up to now is right.
 */
function readLedger(file) {
  const tried = new Map();
  const acknowledged = new Set();
  const latest = new Map();
  const end = (call, at) => {
    if (call !== undefined) call.ended = Math.min(call.ended, Number(at));
  };
  for (const line of readFileSync(file, "latin1").split("\n")) {
    const [verb, key, ...more] = line.split(" ");
    if (verb === "try") {
      const [hash, at] = more;
      const life = key.slice(0, key.lastIndexOf("-"));
      const call = { hash, begun: Number(at), ended: Date.now() };
      end(latest.get(life), at);
      latest.set(life, call);
      tried.set(key, call);
    } else if (verb === "ack" || verb === "no") {
      if (verb === "ack") acknowledged.add(key);
      end(tried.get(key), more[0]);
    }
  }
  return { tried, acknowledged };
}

/** Rows per fetch. */
const ROWS = 20_000;

async function compare(ledgerFile, client, select, setBack) {
  const { tried, acknowledged } = readLedger(ledgerFile);
  const stored = new Set();
  const ids = new Set();
  const places = new Set();
  let twice = 0;
  let unexpected = 0;
  await client.query("BEGIN");
  await client.query(`DECLARE rows CURSOR FOR ${select}`);
  for (let read = ROWS; read === ROWS; ) {
    const { rows } = await client.query(`FETCH ${ROWS} FROM rows`);
    read = rows.length;
    for (const row of rows) {
      const { id, place, occurred } = row;
      const key = row.data?.key;
      const call = tried.get(key);
      if (
        call?.hash !== contentHash(row) ||
        occurred < call.begun - setBack - SLACK_MS ||
        occurred > call.ended + setBack + AHEAD_MS
      )
        unexpected++;
      if (stored.has(key) || ids.has(id) || places.has(place)) twice++;
      stored.add(key);
      if (id !== undefined) ids.add(id);
      if (place !== undefined) places.add(place);
    }
  }
  await client.query("COMMIT");
  const missing = new Set([...acknowledged].filter((key) => !stored.has(key)));
  let recovered = 0;
  for (const key of stored) if (tried.has(key) && !acknowledged.has(key)) recovered++;
  return {
    tried: tried.size,
    acknowledged: acknowledged.size,
    stored: stored.size,
    missing,
    twice,
    unexpected,
    recovered,
  };
}
