/**
 * What a reader waits for: searches and counts through the API, over ninety days of a log. Beside them, the comparison of
 * free text under a locale's rules instead of byte by byte, and the same counts as one statement.
 *
 * `SECLOG_BENCH_ROWS` (1,000,000 by default), and `SECLOG_BENCH_DATA`, a folder that keeps the database for the next run.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiClient } from "@seclog/api";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import pg from "pg";
import { setupDatabase } from "seclog/postgres/schema";
import { tokenAccess } from "../packages/server/dist/api/access.js";
import { serveApi } from "../packages/server/dist/api/serve.js";
import { table } from "./report.js";

const DAYS = 90;
const CHUNK = 250_000;
const TOKEN = "bench-only-bench-only-bench-only";

/** @param {{ rounds?: number, rows?: number, data?: string }} options */
export async function benchSearch({ rounds = 12, rows = 1_000_000, data } = {}) {
  const folder = data ?? mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const isKept = existsSync(join(folder, "postgres"));
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "1GB", max_wal_size: "8GB", synchronous_commit: "off" },
  });
  try {
    const at = (user) => {
      const url = new URL(postgres.url);
      url.pathname = "/search";
      if (user !== undefined) [url.username, url.password] = [`${user}_search`, "bench-only"];
      return url.href;
    };
    await setupDatabase({
      adminUrl: postgres.url,
      writerUrl: at("writer"),
      readerUrl: at("reader"),
      sealerUrl: at("sealer"),
    });
    const admin = new pg.Client({ connectionString: at() });
    admin.on("error", () => {});
    await admin.connect();
    if (!isKept) await fill(admin, rows);
    for (let passed = 1; passed > 0; ) {
      const { rows: counted } = await admin.query("SELECT seclog_roll(100000)::int AS passed");
      passed = counted[0].passed;
    }
    const { rows: counted } = await admin.query(
      "SELECT count(*)::int AS rows FROM security_event_log WHERE category = 'bench'",
    );
    console.log(
      `\nSearching ${counted[0].rows.toLocaleString("en")} events of ${DAYS} days, milliseconds of ${rounds} requests\n`,
    );
    const service = await serveApi({
      url: at("reader"),
      listen: { host: "127.0.0.1", port: 0 },
      access: tokenAccess(TOKEN),
      version: "0",
      onError: (error) => console.error(error),
    });
    try {
      await measure(apiClient({ url: service.url, token: TOKEN }), rounds);
    } finally {
      await service.close(1_000);
    }
    await compareTexts(admin);
    await admin.end();
  } finally {
    await postgres.stop();
    if (data === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Fills the log in the order of time, as applications do. */
async function fill(admin, rows) {
  await admin.query(`DO $$ BEGIN FOR back IN 2..4 LOOP
    PERFORM seclog_add_partition('standard', date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(months => back));
  END LOOP; END $$`);
  for (let from = 0; from < rows; from += CHUNK) {
    console.error(`${from} of ${rows} events stored …`);
    await admin.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, method, path, route, status_code,
         ip_address, ip_source, user_agent, request_host, request_id, actor_id, data, logger, service, environment, host,
         source_id, epoch, seq, v, salt, commitment)
       SELECT gen_random_uuid(), now() - make_interval(days => ${DAYS}) + n * (make_interval(days => ${DAYS}) / $3::float8),
         type, (CASE WHEN type LIKE 'mal%' THEN 'critical' WHEN type LIKE '%fail%' THEN 'warning' WHEN n % 997 = 0 THEN 'error' ELSE 'info' END)::security_event_level,
         'bench', (CASE WHEN type LIKE '%fail%' THEN 'failure' ELSE 'success' END)::security_event_outcome,
         'POST', '/api/orders/' || n % 50000, '/api/orders/:id', CASE n % 9 WHEN 0 THEN 403 WHEN 1 THEN 500 ELSE 200 END,
         ('10.' || (n * 7 % 251) || '.' || (n * 13 % 41) || '.' || (power(random(), 3) * 255)::int)::inet, 'socket',
         'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1' || n % 40 || '.0.0.0 Safari/537.36',
         'shop.example:8443', md5(n::text), 'user' || (power(random(), 3) * 20000)::int,
         json_build_object('reason', 'the password does not match', 'attempt', n % 7, 'order', md5(n::text)),
         'security', 'service-' || n % 4, 'production', 'web-' || n % 8,
         ('01a00000-0000-7000-8000-00000000000' || n % 4)::uuid, 1, n / 4 + 1, 1, decode(md5(n::text), 'hex'),
         decode(md5(n::text) || md5('c' || n), 'hex')
       FROM (SELECT n, (ARRAY['authn_login_success', 'authn_login_success', 'session_created', 'authn_login_fail', 'authz_fail',
           'session_expired', 'input_validation_fail', 'upload_complete', 'user_updated', 'authn_password_change',
           CASE WHEN n % 50 = 0 THEN 'malicious_csrf' ELSE 'sequence_fail' END])[1 + n % 11] AS type
         FROM generate_series($1::bigint, $2::bigint) AS n) AS made`,
      [from, Math.min(rows, from + CHUNK) - 1, rows],
    );
  }
  await admin.query(
    "INSERT INTO security_event_source (id, epoch, last_seq, key_hash) SELECT source_id, 1, max(seq), '' FROM security_event_log WHERE category = 'bench' GROUP BY source_id",
  );
  await admin.query("VACUUM ANALYZE");
}

const SEARCHES = {
  "the newest": {},
  "type:malicious_csrf": { q: "type:malicious_csrf" },
  "level>=error": { q: "level>=error" },
  "an address": { q: "ip:10.7.13.1" },
  "an actor": { q: "actor=user123" },
  "a network, /24": { q: "ip:10.7.13.0/24" },
  "type, not a path": { q: "type:authn_* ip:10.0.0.0/12 -path:/health level>=warning" },
};

async function measure(client, rounds) {
  const figures = [];
  const time = async (name, ask, most = rounds) => {
    const taken = [];
    let note = "";
    for (let round = 0; round <= most; round++) {
      const start = performance.now();
      const result = await ask();
      if (round > 0 || most === 0) taken.push(performance.now() - start);
      note = result ?? "";
    }
    taken.sort((a, b) => a - b);
    const part = (share) => taken[Math.min(taken.length - 1, Math.floor(taken.length * share))].toFixed(0);
    figures.push([name, part(0.5), part(0.95), note]);
  };
  for (const [name, selection] of Object.entries(SEARCHES))
    await time(name, async () => {
      const { events, done } = await client.events({ ...selection, budget: 10_000 });
      return `${events.length} events${done ? ", all" : ""}`;
    });
  for (const [name, q] of [
    ["a path that nobody has", "path:/wp-login"],
    ["a text that nobody has", '"no event has this"'],
  ]) {
    await time(`${name}: first progress`, async () => {
      const { reached } = await client.events({ q, budget: 50 });
      return `to ${reached.slice(0, 16)}`;
    });
    await time(
      `${name}: the whole log`,
      async () => {
        let requests = 0;
        for (let cursor; cursor !== null; requests++) {
          const page = await client.events({ q, budget: 1_000, ...(cursor ? { cursor } : {}) });
          cursor = page.cursor;
        }
        return `${requests} requests`;
      },
      1,
    );
  }
  for (const since of ["1d", "7d", "90d"]) {
    const budget = 10_000;
    await time(
      `timeline, ${since}`,
      async () => {
        const { done } = await client.timeline({ since, budget, buckets: 60 });
        return done ? "" : "not finished";
      },
      3,
    );
    await time(
      `top types, ${since}`,
      async () => ((await client.facets({ since, budget, fields: "type" })).done ? "" : "not finished"),
      3,
    );
    await time(
      `top addresses, ${since}`,
      async () => {
        const { facets, done } = await client.facets({ since, budget, fields: "ip" });
        return `${facets.ip.approximate ? "an estimate" : "exact"}${done ? "" : ", not finished"}`;
      },
      3,
    );
  }
  table(["", "median", "p95", ""], figures);
}

/** Free text over one partition's rows on one core: under a locale's rules, and byte by byte. */
async function compareTexts(admin) {
  const columns =
    "event_type, path, route, user_agent, actor_id, target_id, request_host, request_id, trace_id, method_original, service, host, logger, data::text";
  const few = ["event_type", "path", "user_agent", "actor_id", "target_id", "request_host", "request_id", "data::text"];
  const predicates = {
    "14 columns, a locale's rules": `concat_ws(' ', ${columns}) ILIKE '%no event has this%' OR data::text ILIKE '%no event has this%'`,
    "8 columns, byte by byte": few
      .map((column) => `strpos(lower(${column} COLLATE "C"), 'no event has this') > 0`)
      .join(" OR "),
  };
  await admin.query("SET max_parallel_workers_per_gather = 0");
  const figures = [];
  for (const [name, predicate] of Object.entries(predicates)) {
    const start = performance.now();
    const { rows } = await admin.query(
      `SELECT count(*)::int AS total, count(*) FILTER (WHERE ${predicate})::int AS found FROM (SELECT * FROM security_event_log LIMIT 300000) AS sample`,
    );
    figures.push([name, `${Math.round(rows[0].total / (performance.now() - start)).toLocaleString("en")}`]);
  }
  console.log("\nFree text without an index, thousand rows a second on one core\n");
  table(["", "rows/ms"], figures);
}
