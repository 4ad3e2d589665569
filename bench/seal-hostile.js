/**
 * The sealer beside a hostile writer: how long an honest source's event waits for its seal, and how much memory that
 * takes, while one number has a million rows, and while sources have passed a billion numbers without an event.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import pg from "pg";
import { formatPrivateKey } from "seclog/merkle";
import { setupDatabase } from "seclog/postgres/schema";
import { table } from "./report.js";

const SEAL = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));
const HOSTILE = "01936d2f-5c00-7000-8000-00000000bad0";

/** The attacks, run as the superuser where a writer no longer may. */
const ATTACKS = {
  "nothing hostile": () => [],
  "rows of one number": (rows) => [
    `SELECT seclog_open_source('${HOSTILE}', 1, 'k')`,
    insert(`'${HOSTILE}', 1, now() + n * interval '1 microsecond', 'standard'`, `generate_series(1, ${rows}) AS n`),
    `SELECT seclog_advance('${HOSTILE}', 1, 'k', 1, 1)`,
  ],
  // A log may have these from before new rows had to be of an existing retention class.
  "rows of one number and one time": (rows) => [
    `SELECT seclog_open_source('${HOSTILE}', 1, 'k')`,
    "ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values",
    insert(`'${HOSTILE}', 1, '2026-11-01Z', 'class ' || n`, `generate_series(1, ${rows}) AS n`),
    `SELECT seclog_advance('${HOSTILE}', 1, 'k', 1, 1)`,
  ],
  "numbers without an event": (_, numbers) => [
    "SET session_replication_role = replica",
    `INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
      SELECT gen_random_uuid(), 1, 'x', ${numbers} / 10000, 'hostile' FROM generate_series(1, 10000)`,
  ],
  "numbers without an event, same login": (_, numbers) => [
    "SET session_replication_role = replica",
    `INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
      SELECT gen_random_uuid(), 1, 'x', ${numbers} / 10000, 'honest' FROM generate_series(1, 10000)`,
  ],
  "a million sources at rest": (rows) => [
    "SET session_replication_role = replica",
    `INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login, updated_at)
      SELECT gen_random_uuid(), 1, 'x', 0, 'honest', now() - interval '1 hour' FROM generate_series(1, ${rows})`,
  ],
};

function insert(values, from) {
  return `INSERT INTO security_event_log (source_id, seq, occurred_at, retention, id, event_type, level, category, outcome,
      logger, epoch, v, commitment) SELECT ${values}, gen_random_uuid(), 'x', 'info', 'x', 'unknown', 'x', 1, 1, '' FROM ${from}`;
}

/** @param {{ rows?: number, numbers?: number, attacks?: readonly string[] }} options */
export async function benchSealHostile({
  rows = 1_000_000,
  numbers = 1_000_000_000,
  attacks = Object.keys(ATTACKS),
} = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  const lines = [];
  try {
    for (const [index, attack] of attacks.entries()) {
      const at = (user) => {
        const url = new URL(postgres.url);
        url.pathname = `/hostile${index}`;
        if (user !== undefined) [url.username, url.password] = [`${user}${index}`, "bench-only"];
        return url.href;
      };
      await setupDatabase({ adminUrl: postgres.url, writerUrl: at("writer"), sealerUrl: at("sealer") });
      const admin = new pg.Client({ connectionString: at() });
      await admin.connect();
      console.error(`Making: ${attack} …`);
      for (const sql of ATTACKS[attack](rows, numbers)) await admin.query(sql);
      await admin.query("SET session_replication_role = origin");
      // Backdated, so that the sealer has no other reason to look there first.
      const before = await honest(admin, "honest", "1 hour");
      const key = join(folder, `key${index}`);
      writeFileSync(key, formatPrivateKey(`bench.example/${index}`, Buffer.alloc(32, 1)), { mode: 0o600 });
      const start = performance.now();
      const sealer = spawn(process.execPath, [SEAL, "seal", "--key", key, "--json"], {
        env: { ...process.env, SECLOG_SEALER_URL: at("sealer") },
        stdio: ["ignore", "ignore", "inherit"],
      });
      try {
        await sealed(admin, before);
        const first = performance.now() - start;
        await sleep(5_000);
        const again = performance.now();
        await sealed(admin, await honest(admin, "honest", "0 s"));
        const next = performance.now() - again;
        const peak = peakMegabytes(sealer.pid);
        lines.push([attack, (first / 1_000).toFixed(1), (next / 1_000).toFixed(2), String(peak)]);
      } finally {
        if (sealer.exitCode === null && sealer.kill()) await once(sealer, "exit");
        await admin.end();
      }
    }
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\nThe sealer beside a hostile writer: ${rows} rows, or ${numbers} numbers\n`);
  table(["", "s to an event from before, including the start", "s to a new event", "peak MB resident"], lines);
  return lines;
}

/** Stores one event of a new source, and returns the source. */
async function honest(admin, login, ago) {
  const {
    rows: [{ id }],
  } = await admin.query("SELECT gen_random_uuid() AS id");
  await admin.query("SELECT seclog_open_source($1, 1, 'k')", [id]);
  await admin.query(insert(`'${id}', 1, now(), 'standard'`, "generate_series(1, 1)"));
  await admin.query("SELECT seclog_advance($1, 1, 'k', 1, 1)", [id]);
  await admin.query(
    `UPDATE security_event_source SET login = $2, updated_at = updated_at - $3::interval WHERE id = $1`,
    [id, login, ago],
  );
  return id;
}

async function sealed(admin, source) {
  const limit = performance.now() + 300_000;
  for (;;) {
    const { rowCount } = await admin.query("SELECT FROM security_event_seal WHERE source_id = $1", [source]);
    if (rowCount > 0) return;
    if (performance.now() > limit) throw new Error("not sealed within five minutes");
    await sleep(50);
  }
}

/** The peak memory of a process. Linux only. */
function peakMegabytes(pid) {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}
