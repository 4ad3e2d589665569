/** One run of one measure of `bench/against.js`, with the packages of the given tree; prints one number. */

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
    const [{ postgresHandler }, { setupDatabase }, { drainSpool }] = await Promise.all([
      load("seclog/postgres"),
      load("seclog/postgres/schema").catch(() => load("seclog/postgres")),
      load("seclog/spool").catch(() => load("seclog/ship")),
    ]);
    const adminUrl = process.env.SECLOG_BENCH_ADMIN_URL;
    const name = `bench_${process.pid}`;
    const writerUrl = Object.assign(new URL(adminUrl), {
      pathname: `/${name}`,
      username: name,
      password: "bench-only",
    }).href;
    await setupDatabase({ adminUrl, writerUrl });
    const directory = join(folder, "spool");
    const log = await openLog(directory);
    await record(log, ROWS);
    await log.close({ deadline: 0 });
    const start = performance.now();
    const { shipped } = await drainSpool({ directory, handlers: [postgresHandler({ url: writerUrl })] });
    return shipped / ((performance.now() - start) / 1_000);
  },
};

const figure = await measures[measure]();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(JSON.stringify(figure), () => process.exit());
