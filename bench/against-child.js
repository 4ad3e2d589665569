/** One run of one measure of `bench/against.js`, with the packages of the given tree; prints one number. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [measure, tree] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
const CALLS = 60_000;
const ROWS = 100_000;
const TURN = 20;

const { resolve } = createRequire(join(tree, "package.json"));
/** Async, so that a name this tree does not have yet rejects. */
const load = async (name) => import(pathToFileURL(resolve(name)).href);

const request = {
  method: "PUT",
  url: "/products/17",
  originalUrl: "/products/17",
  headers: {
    host: "shop.example:3000",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
    "x-request-id": "0f8fad5b-d9cb-469f-a165-70867728950e",
  },
  socket: { remoteAddress: "203.0.113.9" },
};

/** A log whose events stay in the spool, as with a database that is down. */
async function openLog(directory) {
  const { createSecurityLog } = await load("seclog");
  return createSecurityLog({
    service: "shop-api",
    environment: "production",
    spool: { directory },
    handlers: [{ name: "none", handle: () => new Promise(() => {}), close: async () => {} }],
  });
}

async function record(log, events) {
  for (let done = 0; done < events; done += TURN) {
    for (let i = 0; i < TURN; i++) {
      log.recordSecurityEvent("illegal_request_method", request, {
        statusCode: 404,
        allowedMethods: "GET, HEAD",
        attempt: done + i,
      });
    }
    await new Promise((done) => setImmediate(done));
  }
}

const measures = {
  async call() {
    const log = await openLog(join(folder, "spool"));
    await record(log, CALLS / 4);
    const before = performance.eventLoopUtilization();
    await record(log, CALLS);
    const { active } = performance.eventLoopUtilization(before);
    return (active * 1_000) / CALLS;
  },
  async import() {
    const start = performance.now();
    await Promise.all(["seclog", "seclog/express", "seclog/postgres"].map(load));
    return performance.now() - start;
  },
  async ingest() {
    const { rows, seconds } = await store();
    return rows / seconds;
  },
  async seal() {
    const { sealerUrl } = await store();
    const { leaves, seconds } = await seal(sealerUrl);
    return leaves / seconds;
  },
  async verify() {
    const { sealerUrl, readerUrl } = await store();
    const { leaves, vkey } = await seal(sealerUrl);
    const start = performance.now();
    execFileSync(process.execPath, [join(tree, "packages/server/bin/seclog.js"), "verify", "--vkey", vkey, "--json"], {
      env: { ...process.env, SECLOG_READER_URL: readerUrl },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return leaves / ((performance.now() - start) / 1_000);
  },
};

/** Stores rows from a spool in a database of its own. */
async function store() {
  // The older tree of a comparison has the entries of its time: setupDatabase() was in seclog/postgres, drainSpool() in
  // seclog/ship.
  const [{ postgresHandler }, { setupDatabase }, { drainSpool }] = await Promise.all([
    load("seclog/postgres"),
    load("seclog/postgres/schema").catch(() => load("seclog/postgres")),
    load("seclog/spool").catch(() => load("seclog/ship")),
  ]);
  const adminUrl = process.env.SECLOG_BENCH_ADMIN_URL;
  const name = `bench_${process.pid}`;
  const urlOf = (role) =>
    Object.assign(new URL(adminUrl), {
      pathname: `/${name}`,
      username: `${name}_${role}`,
      password: "bench-only",
    }).href;
  const [writerUrl, readerUrl, sealerUrl] = ["writer", "reader", "sealer"].map(urlOf);
  await setupDatabase({ adminUrl, writerUrl, readerUrl, sealerUrl });
  const directory = join(folder, "spool");
  const log = await openLog(directory);
  await record(log, ROWS);
  await log.close({ deadline: 0 });
  const start = performance.now();
  const { shipped } = await drainSpool({ directory, handlers: [postgresHandler({ url: writerUrl })] });
  return { rows: shipped, seconds: (performance.now() - start) / 1_000, readerUrl, sealerUrl };
}

/** Seals all that is stored. */
async function seal(url) {
  const [server, { formatPrivateKey, parsePrivateKey }] = await Promise.all([
    load("@seclog/server/seal"),
    load("seclog/merkle"),
  ]);
  const signer = parsePrivateKey(formatPrivateKey("bench.example", Buffer.alloc(32, 1)));
  const State = server.NoSealerState ?? server.NoSealMemory;
  const state = new State();
  let leaves = 0;
  const start = performance.now();
  await server.runSealer({
    url,
    signer,
    state,
    memory: state,
    intervalMs: 10,
    once: true,
    signal: AbortSignal.timeout(600_000),
    onSealed: (step) => {
      leaves += step.leaves;
    },
  });
  return { leaves, seconds: (performance.now() - start) / 1_000, vkey: signer.vkey };
}

const figure = await measures[measure]();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(JSON.stringify(figure), () => process.exit());
