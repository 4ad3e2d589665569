/**
 * Sealing: leaves per second from stored rows to signed checkpoints, beside the bare hashing; and how long after a row
 * is stored its seal follows, while an application records and ships.
 */
import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import { runSealer, SealerStateFile } from "@seclog/server/seal";
import pg from "pg";
import { createSecurityLog } from "seclog";
import { formatPrivateKey, parsePrivateKey } from "seclog/merkle";
import { postgresHandler } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { drainSpool } from "seclog/spool";
import { makeSpool } from "./ingest.js";
import { median, table } from "./report.js";

/** @param {{ rounds?: number, events?: number, seconds?: number, rate?: number }} options */
export async function benchSeal({ rounds = 3, events = 200_000, seconds = 20, rate = 2_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  console.error(`Making a spool of ${events} events …`);
  await makeSpool(join(folder, "spool"), events);
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  const at = (user, database) => {
    const url = new URL(postgres.url);
    url.pathname = `/${database}`;
    if (user !== undefined) [url.username, url.password] = [user, "bench-only"];
    return url.href;
  };
  const open = async (database) => {
    const urls = {
      writerUrl: at("writer", database),
      readerUrl: at("reader", database),
      sealerUrl: at("sealer", database),
    };
    await setupDatabase({ adminUrl: postgres.url, ...urls });
    const admin = new pg.Client({ connectionString: at(undefined, database) });
    await admin.connect();
    return { ...urls, admin };
  };
  const signer = parsePrivateKey(formatPrivateKey("bench.example", Buffer.alloc(32, 1)));
  const seal = async (sealerUrl, options) => {
    await runSealer({
      url: sealerUrl,
      signer,
      state: new SealerStateFile(join(folder, `memory-${new URL(sealerUrl).pathname.slice(1)}`)),
      onSealed: () => {},
      ...options,
    });
  };
  try {
    const stored = await open("seal");
    await drainSpool({ directory: join(folder, "spool"), handlers: [postgresHandler({ url: stored.writerUrl })] });
    const rates = [];
    const plain = [];
    for (let round = 0; round < rounds; round++) {
      await stored.admin.query(
        "SET session_replication_role = replica; DELETE FROM security_event_seal; DELETE FROM security_event_tile; DELETE FROM security_event_checkpoint; DELETE FROM security_event_signature; UPDATE security_event_tree SET size = 0, root = sha256('')",
      );
      rmSync(join(folder, "memory-seal"), { force: true });
      await stored.admin.query("CHECKPOINT");
      let leaves = 0;
      const start = performance.now();
      await seal(stored.sealerUrl, {
        intervalMs: 10,
        once: true,
        signal: AbortSignal.timeout(600_000),
        onSealed: (step) => {
          leaves += step.leaves;
        },
      });
      rates.push(leaves / ((performance.now() - start) / 1_000));
      plain.push(hashingAlone(leaves));
    }
    await stored.admin.end();

    const live = await open("live");
    const delays = await underLoad(live, seal, join(folder, "live-spool"), seconds, rate);
    await live.admin.end();

    const figures = { leaves: median(rates), plain: median(plain), ...delays };
    console.log(
      `\nSealing: leaves per second, ${events} stored events in steps of 10,000, median of ${rounds} rounds\n`,
    );
    table(
      ["", "leaves/s", "of hashing alone"],
      [
        [
          "seclog seal: rows to signed checkpoints",
          figures.leaves.toFixed(0),
          `${(figures.leaves / figures.plain).toFixed(2)}×`,
        ],
        ["SHA-256 of as many leaves and nodes", figures.plain.toFixed(0), ""],
      ],
    );
    console.log(
      `\nFrom a stored row to its signed checkpoint, ${delays.events} events at ${rate} events/s, a look every 0.5 s:\n` +
        `median ${delays.median.toFixed(2)} s, p99 ${delays.p99.toFixed(2)} s, longest ${delays.longest.toFixed(2)} s`,
    );
    return figures;
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As many hashes as a tree of so many leaves needs, of inputs as long as entries and nodes are. */
function hashingAlone(leaves) {
  const entry = Buffer.alloc(480, 97);
  const node = Buffer.alloc(65, 1);
  const start = performance.now();
  for (let n = 0; n < leaves; n++) {
    entry.writeUInt32LE(n, 100);
    hash("sha256", entry, "buffer");
    node.writeUInt32LE(n, 10);
    hash("sha256", node, "buffer");
  }
  return leaves / ((performance.now() - start) / 1_000);
}

async function underLoad({ writerUrl, sealerUrl, admin }, seal, directory, seconds, rate) {
  const stop = new AbortController();
  const sealing = seal(sealerUrl, { intervalMs: 500, signal: stop.signal });
  const log = createSecurityLog({
    service: "shop-api",
    spool: { directory },
    handlers: [postgresHandler({ url: writerUrl })],
  });
  const start = performance.now();
  let recorded = 0;
  while (performance.now() - start < seconds * 1_000) {
    const due = ((performance.now() - start) / 1_000) * rate;
    for (; recorded < due; recorded++)
      log.recordSecurityEvent("authz_fail", undefined, { userid: `user-${recorded % 1000}` });
    await sleep(5);
  }
  await log.close();
  for (;;) {
    const { rows } = await admin.query(
      "SELECT (SELECT sum(last_seq) FROM security_event_source) = (SELECT size FROM security_event_tree) AS done",
    );
    if (rows[0].done) break;
    await sleep(100);
  }
  stop.abort();
  await sealing;
  const { rows } = await admin.query(
    `WITH sealed AS (
      SELECT extract(epoch FROM checkpoint.created_at - log.created_at)::float8 AS delay
        FROM security_event_seal AS seal
          JOIN security_event_log AS log ON log.source_id = seal.source_id AND log.seq BETWEEN seal.first_seq AND seal.last_seq
          JOIN LATERAL (SELECT created_at FROM security_event_checkpoint WHERE size > seal.first_leaf ORDER BY size LIMIT 1) AS checkpoint ON true
        WHERE log.event_type = 'authz_fail')
    SELECT count(*)::int AS events, percentile_cont(0.5) WITHIN GROUP (ORDER BY delay) AS median,
      percentile_cont(0.99) WITHIN GROUP (ORDER BY delay) AS p99, max(delay) AS longest FROM sealed`,
  );
  return rows[0];
}
