/**
 * Events per second through each queue engine that is installed, beside the direct path to the same PostgreSQL: 1, 2
 * and 4 sources × 1 and 2 workers, each a process, spools filled before. And how long an event takes from the call to its
 * row, at a steady rate. Everything shares the machine: the engine, its workers and PostgreSQL compete for the cores that
 * the direct path has for itself.
 */
import { fork, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { ENGINES } from "../faults/engines/all.js";
import { Server } from "../faults/world.js";
import { makeSpool } from "./ingest.js";
import { median, table } from "./report.js";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));

/** @param {{ rounds?: number, events?: number, engines?: string[], rate?: number, seconds?: number }} options */
export async function benchQueue({ rounds = 3, events = 40_000, engines, rate = 200, seconds = 10 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const server = await Server.start({ shared_buffers: "256MB", max_wal_size: "4GB" });
  const chosen = Object.entries(ENGINES).filter(
    ([name, Engine]) => Engine.needs() === undefined && (engines === undefined || engines.includes(name)),
  );
  for (const [name, Engine] of Object.entries(ENGINES)) {
    if (Engine.needs() !== undefined) console.log(`${name} was skipped: ${Engine.needs()}.`);
  }
  const spools = [];
  try {
    for (let n = 0; n < 4; n++) {
      spools.push(join(folder, `spool-${n}`));
      await makeSpool(spools[n], events);
    }
    const shapes = [1, 2, 4].flatMap((sources) => [
      { engine: "postgres", sources, workers: 0 },
      ...chosen.flatMap(([engine]) => [1, 2].map((workers) => ({ engine, sources, workers }))),
    ]);
    const results = shapes.map((shape) => ({ ...shape, rates: [] }));
    for (let round = 0; round < rounds; round++) {
      for (const result of results) {
        console.error(`round ${round + 1}: ${result.engine}, ${result.sources} sources, ${result.workers} workers …`);
        result.rates.push(await drain(server, folder, spools.slice(0, result.sources), events, result));
      }
    }
    const direct = (sources) => median(results.find((r) => r.engine === "postgres" && r.sources === sources).rates);
    console.log(
      `\nEvents per second, ${events} events a source, median of ${rounds} rounds in turn (least to most):\n`,
    );
    table(
      ["path", "sources", "workers", "events/s", "least to most", "of direct"],
      results.map(({ engine, sources, workers, rates }) => [
        engine === "postgres" ? "direct" : engine,
        `${sources}`,
        workers === 0 ? "–" : `${workers}`,
        Math.round(median(rates)).toLocaleString("en"),
        `${Math.round(Math.min(...rates)).toLocaleString("en")} to ${Math.round(Math.max(...rates)).toLocaleString("en")}`,
        `${(median(rates) / direct(sources)).toFixed(2)}×`,
      ]),
    );
    const latencies = [];
    for (const engine of ["postgres", ...chosen.map(([name]) => name)]) {
      console.error(`latency: ${engine} …`);
      latencies.push([
        engine === "postgres" ? "direct" : engine,
        ...(await latency(server, folder, { engine, rate, seconds })),
      ]);
    }
    console.log(`\nFrom the call to the row, at ${rate} events/s for ${seconds} s, in milliseconds:\n`);
    table(["path", "p50", "p99", "most"], latencies);
  } finally {
    await server.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sources, an engine and workers, ready to start together. */
async function scene(server, { engine: name, sources, workers }, sender) {
  const database = await server.database();
  const engine = name === "postgres" ? undefined : await ENGINES[name].start();
  const key = randomBytes(32).toString("base64");
  const handler =
    engine === undefined
      ? { engine: "postgres", url: database.writerUrl }
      : { engine: name, url: engine.url, queueKey: key, confirm: "stored" };
  const consuming = Array.from({ length: workers }, () =>
    spawn(process.execPath, [file("../packages/server/bin/seclog.js"), "work", "--from", engine.url], {
      env: { ...process.env, SECLOG_RELAY_URL: database.relayUrl, SECLOG_QUEUE_KEY: key },
      stdio: ["ignore", "ignore", "inherit"],
    }),
  );
  const senders = Array.from({ length: sources }, (_, n) =>
    fork(file("queue-sender.js"), [JSON.stringify({ ...sender(n), handler })]),
  );
  await Promise.all(senders.map((child) => once(child, "message")));
  // The workers share the streams within seconds.
  if (workers > 0) await new Promise((resolve) => setTimeout(resolve, 3_000));
  return {
    database,
    async run() {
      const done = senders.map((child) => once(child, "message"));
      for (const child of senders) child.send("go");
      return (await Promise.all(done)).map(([result]) => result);
    },
    async end() {
      for (const child of senders) child.kill();
      for (const child of consuming) {
        child.kill("SIGTERM");
        if (child.exitCode === null) await once(child, "exit");
      }
      await engine?.end();
    },
  };
}

async function drain(server, folder, spools, events, shape) {
  const copies = spools.map((spool, n) => {
    const copy = join(folder, `copy-${n}`);
    rmSync(copy, { recursive: true, force: true });
    cpSync(spool, copy, { recursive: true });
    return copy;
  });
  const playing = await scene(server, shape, (n) => ({ directory: copies[n] }));
  try {
    const start = performance.now();
    const results = await playing.run();
    const took = performance.now() - start;
    const stored = await query(
      playing.database.adminUrl,
      "SELECT count(*)::int AS n FROM security_event_log WHERE category <> 'log'",
    );
    if (stored[0].n !== events * spools.length) {
      throw new Error(`${stored[0].n} of ${events * spools.length} events are stored: ${JSON.stringify(results)}`);
    }
    return (events * spools.length * 1_000) / took;
  } finally {
    await playing.end();
  }
}

async function latency(server, folder, { engine, rate, seconds }) {
  const directory = mkdtempSync(join(folder, "latency-"));
  const shape = { engine, sources: 1, workers: engine === "postgres" ? 0 : 1 };
  const playing = await scene(server, shape, () => ({ directory, rate, seconds }));
  try {
    await playing.run();
    // The first second is the start of processes and connections.
    const [row] = await query(
      playing.database.adminUrl,
      `SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM created_at - occurred_at) * 1000) AS ms
        FROM security_event_log WHERE event_type = 'authz_fail'
          AND occurred_at > (SELECT min(occurred_at) + interval '1 second' FROM security_event_log)`,
    );
    return row.ms.map((ms) => ms.toFixed(0));
  } finally {
    await playing.end();
  }
}

async function query(connectionString, text) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
