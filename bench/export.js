/**
 * `seclog export` of a million events beside `psql \copy` of the same rows to CSV, in turn, on one PostgreSQL: seconds, and
 * the most memory that the program held.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import pg from "pg";
import { postgresHandler } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { drainSpool } from "seclog/spool";
import { makeSpool } from "./ingest.js";
import { median, table } from "./report.js";

const PROGRAM = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));

/** How often the stored events are copied under other sources. */
const COPIES = 9;

/** @param {{ rounds?: number, events?: number, formats?: string[] }} options */
export async function benchExport({ rounds = 3, events = 1_000_000, formats = ["ndjson", "csv", "ocsf"] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "512MB", max_wal_size: "4GB" },
  });
  try {
    const at = (user) => {
      const url = new URL(postgres.url);
      url.pathname = "/export";
      if (user !== undefined) [url.username, url.password] = [`${user}_export`, "bench-only"];
      return url.href;
    };
    await setupDatabase({ adminUrl: postgres.url, writerUrl: at("writer"), readerUrl: at("reader") });
    console.error(`Storing ${events} events …`);
    await makeSpool(join(folder, "spool"), events / (COPIES + 1));
    await drainSpool({ directory: join(folder, "spool"), handlers: [postgresHandler({ url: at("writer") })] });
    await copyEvents(at());
    const env = { PATH: process.env.PATH, SECLOG_READER_URL: at("reader") };
    const contestants = {
      "psql \\copy, CSV": () =>
        run(
          "psql",
          [
            at("reader"),
            "-qc",
            `\\copy (SELECT * FROM public.security_event_log) TO '${join(folder, "rows.csv")}' (FORMAT csv)`,
          ],
          env,
        ),
      ...Object.fromEntries(
        formats.map((format) => [
          `seclog export, ${format}`,
          () => {
            const out = join(folder, `out-${format}-${Math.random()}`);
            return run(process.execPath, [PROGRAM, "export", "--unrecorded", "--format", format, "--out", out], env);
          },
        ]),
      ),
    };
    const found = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
    for (let round = 0; round <= rounds; round++) {
      for (const [name, contest] of Object.entries(contestants)) {
        const result = await contest();
        // The first round fills the caches.
        if (round > 0) found[name].push(result);
      }
    }
    const seconds = (name) => median(found[name].map((result) => result.seconds));
    const [rival] = Object.keys(contestants);
    console.log(`\nAn export of ${events.toLocaleString("en")} events, median of ${rounds}:`);
    table(
      ["", "seconds", "events/s", "against psql", "memory"],
      Object.keys(contestants).map((name) => [
        name,
        seconds(name).toFixed(1),
        Math.round(events / seconds(name)).toLocaleString("en"),
        `${(seconds(rival) / seconds(name)).toFixed(2)} ×`,
        `${Math.round(median(found[name].map((result) => result.megabytes)))} MB`,
      ]),
    );
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same events under other sources, at other times. */
async function copyEvents(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'security_event_log'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
  );
  const columns = rows.map(({ name }) => name);
  const changed = {
    id: "gen_random_uuid()",
    source_id: "overlay(source_id::text placing $1 from 35)::uuid",
    occurred_at: "occurred_at + $2 * interval '1 minute'",
  };
  for (let copy = 1; copy <= COPIES; copy++) {
    await client.query(
      `INSERT INTO security_event_log (${columns.join(", ")}) SELECT ${columns.map((name) => changed[name] ?? name).join(", ")}
         FROM security_event_log WHERE source_id::text NOT LIKE '%f_' AND category <> 'log'`,
      [`f${copy}`, copy],
    );
  }
  await client.query("VACUUM (ANALYZE) security_event_log");
  await client.end();
}

/** Runs a program; resolves to its seconds and the most memory that it held, as Linux counts it. */
async function run(command, args, env) {
  const start = performance.now();
  const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  let megabytes = 0;
  const watch = setInterval(() => {
    try {
      const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8")) ?? [];
      megabytes = Math.max(megabytes, Number(kilobytes ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
  }, 50);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(watch);
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  return { seconds: (performance.now() - start) / 1000, megabytes };
}
