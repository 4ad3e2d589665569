/**
 * Rows per second into the real table: Seclog's shipper from a spool, beside `psql \copy` of the same rows and one
 * INSERT for each event through a pool of two. Each contestant has a fresh database on the same PostgreSQL, in turn.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import pg from "pg";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { drainSpool } from "seclog/spool";
import { median, table } from "./report.js";

const TYPES = [
  "illegal_request_method",
  "authz_fail",
  "authn_login_fail",
  "input_validation_fail",
  "excess_rate_limit_exceeded",
];

/** Makes a spool of events that have not been shipped. */
export async function makeSpool(directory, events) {
  const log = createSecurityLog({
    service: "shop-api",
    environment: "production",
    spool: { directory },
    handlers: [{ name: "none", handle: () => new Promise(() => {}), close: async () => {} }],
  });
  for (let n = 0; n < events; n++) {
    const request = {
      method: "POST",
      originalUrl: `/products/${n % 500}/reviews`,
      url: `/products/${n % 500}/reviews`,
      headers: {
        host: "shop.example",
        "user-agent": `Mozilla/5.0 (X11; Linux x86_64) Chrome/${100 + (n % 40)}.0.0.0 Safari/537.36`,
      },
      socket: { remoteAddress: `203.0.${n % 113}.${n % 251}` },
    };
    log.recordSecurityEvent(TYPES[n % TYPES.length], request, {
      statusCode: 404,
      userid: `user-${n % 1_000}`,
      attempt: n,
    });
    if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close({ deadline: 0 });
}

/** @param {{ rounds?: number, events?: number, inserts?: number }} options */
export async function benchIngest({ rounds = 3, events = 200_000, inserts = 10_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const spool = join(folder, "spool");
  const rows = join(folder, "rows.copy");
  console.error(`Making a spool of ${events} events …`);
  await makeSpool(spool, events);
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  let database = 0;
  const fresh = async () => {
    database += 1;
    const at = (user) => {
      const url = new URL(postgres.url);
      url.pathname = `/bench${database}`;
      if (user !== undefined) [url.username, url.password] = [`${user}${database}`, "bench-only"];
      return url.href;
    };
    await setupDatabase({ adminUrl: postgres.url, writerUrl: at("writer"), readerUrl: at("reader") });
    const client = new pg.Client({ connectionString: at() });
    await client.connect();
    await client.query("CHECKPOINT");
    return { writer: at("writer"), admin: at(), client };
  };
  const drop = async (client) => {
    const name = `bench${database}`;
    await client.end();
    const admin = new pg.Client({ connectionString: postgres.url });
    await admin.connect();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  };
  const results = { seclog: [], copy: [], insert: [] };
  try {
    let columns;
    for (let round = 0; round < rounds; round++) {
      const one = await fresh();
      const copyOfSpool = join(folder, `spool-${round}`);
      cpSync(spool, copyOfSpool, { recursive: true });
      let start = performance.now();
      const { shipped } = await drainSpool({
        directory: copyOfSpool,
        handlers: [postgresHandler({ url: one.writer })],
      });
      results.seclog.push(shipped / ((performance.now() - start) / 1_000));
      if (columns === undefined) {
        const found = await one.client.query(
          "SELECT attname FROM pg_attribute WHERE attrelid = 'security_event_log'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'created_at' ORDER BY attnum",
        );
        columns = found.rows.map(({ attname }) => attname).join(", ");
        // Without the database's own events, which only it may insert.
        psql(
          one.admin,
          `\\copy (SELECT ${columns} FROM security_event_log WHERE retention <> 'own' ORDER BY source_id, seq) TO '${rows}'`,
        );
      }
      await drop(one.client);

      const two = await fresh();
      start = performance.now();
      psql(two.admin, `\\copy security_event_log (${columns}) FROM '${rows}'`);
      results.copy.push(shipped / ((performance.now() - start) / 1_000));
      if (round === 0) results.insert.push(await insertEach(two.admin, columns, inserts));
      await drop(two.client);
      rmSync(copyOfSpool, { recursive: true, force: true });
    }
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const figures = { seclog: median(results.seclog), copy: median(results.copy), insert: median(results.insert) };
  console.log(
    `\nRows per second into security_event_log: ${events} events, median of ${rounds} rounds in turn (INSERT: ${inserts} events, once)\n`,
  );
  table(
    ["", "rows/s", "Seclog is"],
    [
      ["Seclog: spool to table", Math.round(figures.seclog).toString(), ""],
      ["psql \\copy, same rows", Math.round(figures.copy).toString(), `${(figures.seclog / figures.copy).toFixed(2)}×`],
      [
        "INSERT each, pool of 2",
        Math.round(figures.insert).toString(),
        `${(figures.seclog / figures.insert).toFixed(1)}×`,
      ],
    ],
  );
  return { events, rounds, figures, toCopy: figures.seclog / figures.copy, toInsert: figures.seclog / figures.insert };
}

/** Runs one psql command. The password goes through the environment, as for any program. */
function psql(url, command) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const env = {
    ...process.env,
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: pathname.slice(1),
  };
  execFileSync("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** A logging handler without a spool: one INSERT and commit for each event, two at a time. */
async function insertEach(url, columns, inserts) {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const found = await pool.query(`SELECT ${columns} FROM security_event_log WHERE retention <> 'own' LIMIT 1`);
  const names = columns.split(", ");
  const fixed = names.map((name) => found.rows[0][name]);
  const text = `INSERT INTO security_event_log (${columns}) VALUES (${names.map((_, index) => `$${index + 1}`).join(", ")})`;
  const seq = names.indexOf("seq");
  const json = names.flatMap((name, index) => (name === "data" || name === "notes" ? [index] : []));
  let next = 10_000_000;
  const worker = async (count) => {
    for (let n = 0; n < count; n++) {
      const values = [...fixed];
      values[seq] = next++;
      for (const index of json) if (values[index] !== null) values[index] = JSON.stringify(values[index]);
      await pool.query({ name: "insert", text, values });
    }
  };
  const start = performance.now();
  await Promise.all([worker(inserts / 2), worker(inserts / 2)]);
  const seconds = (performance.now() - start) / 1_000;
  await pool.end();
  return inserts / seconds;
}

/** Whether psql is installed. */
export function hasPsql() {
  return spawnSync("psql", ["--version"]).status === 0;
}
