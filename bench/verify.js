/**
 * How fast `seclog verify` is beside plain SHA-256 over the same bytes: the verification of a real table, end to end;
 * the same with all of PostgreSQL's answers in memory; and node:crypto alone, over each input that the verification
 * hashes, with the same calls. They run in turn, in one process.
 */
import * as crypto from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import { readVkey, verifyLog } from "@seclog/verify";
import pg from "pg";
import { encodeEvent } from "seclog";
import { formatCheckpoint, formatPrivateKey, leafHash, parsePrivateKey, signNote, TreeAppender } from "seclog/merkle";
import { EVENT_SELECT, postgresHandler, rowToEvent } from "seclog/postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { drainSpool } from "seclog/spool";
import { openSnapshot } from "../packages/server/dist/integrity/verify-stored-log.js";
import { rowsOf } from "../packages/verify/dist/copy-rows.js";
import { RowReader } from "../packages/verify/dist/row-reader.js";
import { makeSpool } from "./ingest.js";
import { median, table } from "./report.js";

/** Events between two checkpoints: a log with that many events a second signs once a second. */
const CHECKPOINT_EVERY = 2_000;

/** @param {{ rounds?: number, events?: number }} options */
export async function benchVerify({ rounds = 5, events = 200_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { shared_buffers: "512MB", max_wal_size: "4GB" },
  });
  try {
    const at = (user) => {
      const url = new URL(postgres.url);
      url.pathname = "/verify";
      if (user !== undefined) [url.username, url.password] = [`${user}_verify`, "bench-only"];
      return url.href;
    };
    await setupDatabase({
      adminUrl: postgres.url,
      writerUrl: at("writer"),
      readerUrl: at("reader"),
      sealerUrl: at("sealer"),
    });
    console.error(`Storing and sealing ${events} events …`);
    await makeSpool(join(folder, "spool"), events);
    cpSync(join(folder, "spool"), join(folder, "shipped"), { recursive: true });
    await drainSpool({ directory: join(folder, "shipped"), handlers: [postgresHandler({ url: at("writer") })] });
    const signer = parsePrivateKey(formatPrivateKey("bench.example/log", crypto.randomBytes(32)));
    await sealAll(at(), signer);

    const keys = [readVkey(signer.vkey)];
    const answers = new Map();
    const results = { table: [], memory: [], hash: [], update: [], stream: [] };
    let inputs = [];
    let report;
    for (let round = 0; round <= rounds; round++) {
      const { session, log } = await openSnapshot(at("reader"));
      let start = performance.now();
      report = await verifyLog(log, { keys });
      const table = performance.now() - start;
      if (!report.intact) throw new Error(report.findings[0]?.sentence);
      if (round === 0) {
        await verifyLog({ read: (part) => kept(log, part, answers) }, { keys });
        inputs = await hashInputs(answers, report.size);
      }
      await session.end();

      start = performance.now();
      await verifyLog({ read: (part) => replay(part, answers) }, { keys });
      const memory = performance.now() - start;

      start = performance.now();
      for (const input of inputs) crypto.hash("sha256", input, "binary");
      const hash = performance.now() - start;

      start = performance.now();
      for (const input of inputs) crypto.createHash("sha256").update(input).digest("binary");
      const update = performance.now() - start;

      start = performance.now();
      const one = crypto.createHash("sha256");
      for (const input of inputs) one.update(input);
      one.digest();
      const stream = performance.now() - start;
      // The first round is for the compiler.
      if (round === 0) continue;
      for (const [name, value] of Object.entries({ table, memory, hash, update, stream })) results[name].push(value);
    }
    const ms = Object.fromEntries(Object.entries(results).map(([name, values]) => [name, median(values)]));
    const bytes = inputs.reduce((sum, input) => sum + input.length, 0);
    console.log(
      `\nVerification of ${report.size} leaves (${inputs.length} inputs of SHA-256, ${(bytes / 1e6).toFixed(0)} MB; a checkpoint every ${CHECKPOINT_EVERY}), median of ${rounds} rounds in turn\n`,
    );
    const line = (title, name) => [
      title,
      Math.round(ms[name]).toString(),
      Math.round(report.size / (ms[name] / 1_000)).toString(),
      (bytes / 1e3 / ms[name]).toFixed(0),
      `${(ms.hash / ms[name]).toFixed(2)}×`,
    ];
    table(
      ["", "ms", "leaves/s", "MB/s", "beside SHA-256"],
      [
        line("verify, from the table", "table"),
        line("verify, answers in memory", "memory"),
        line("crypto.hash() of each input", "hash"),
        line("createHash() of each input", "update"),
        line("one createHash() over all", "stream"),
      ],
    );
    return { leaves: report.size, bytes, ms, toHash: ms.hash / ms.table, memoryToHash: ms.hash / ms.memory };
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const nameOf = (part) => `${part.name} ${part.window ?? ""}`;

/** Reads, and keeps the answer. */
async function* kept(log, part, answers) {
  const pieces = [];
  for await (const piece of log.read(part)) {
    pieces.push(piece);
    yield piece;
  }
  answers.set(nameOf(part), pieces);
}

async function* replay(part, answers) {
  yield* answers.get(nameOf(part));
}

/** Every input that verifying hashes: the entry and the salted personal line of each event, and the tree's nodes. */
async function hashInputs(answers, leaves) {
  const inputs = [];
  const reader = new RowReader();
  const salt = crypto.randomBytes(16);
  for (const [name, pieces] of answers) {
    if (!name.startsWith("events ")) continue;
    for await (const { rows, start } of rowsOf(pieces)) {
      reader.read(rows, start);
      inputs.push(Buffer.from(`\0${reader.entry()}`), Buffer.concat([salt, Buffer.from(reader.personalLine())]));
    }
  }
  for (let node = 1; node < leaves; node++) inputs.push(crypto.randomBytes(65));
  return inputs;
}

/** Seals the only source's events as the format says, in steps of {@link CHECKPOINT_EVERY}. */
async function sealAll(url, signer) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("SET timezone = 'UTC'");
  const tree = new TreeAppender();
  let root = Buffer.from(tree.root());
  const sources = await client.query(
    "SELECT id, last_seq::int FROM security_event_source WHERE last_seq > 0 ORDER BY id",
  );
  for (const { id, last_seq } of sources.rows) {
    for (let first = 1; first <= last_seq; first += CHECKPOINT_EVERY) {
      const last = Math.min(last_seq, first + CHECKPOINT_EVERY - 1);
      const { rows } = await client.query(
        `SELECT ${EVENT_SELECT}, encode(commitment, 'hex') AS digits,
            format('{"created_at":"%s","retention":"%s"}',
              to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), retention) AS stored FROM security_event_log
          WHERE source_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq`,
        [id, first, last],
      );
      const size = tree.size;
      for (const row of rows) {
        const [core] = encodeEvent(rowToEvent(row)).split("\n");
        tree.append(leafHash(`${core}\n${row.digits}\n${row.stored}`));
      }
      const tiles = tree.take();
      const before = root;
      root = Buffer.from(tree.root());
      const text = formatCheckpoint({ origin: signer.name, size: tree.size, root });
      await client.query("SELECT seclog_seal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)", [
        ...[size, before, tree.size, root, signer.name, signer.keyId, signer.vkey],
        signNote(text, [signer]).slice(text.length + 1),
        ...[[id], [first], [last]],
        tiles.map(({ level }) => level),
        tiles.map(({ index }) => index),
        tiles.map(({ hashes }) => Buffer.from(hashes)),
      ]);
    }
  }
  await client.query("VACUUM ANALYZE");
  await client.end();
}
