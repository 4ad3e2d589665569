/**
 * Events per second that `seclog collect` acknowledges (each is on disk then), beside a bare Hono server that reads the
 * same bodies and discards them; and the time of a request. Sender, collector and PostgreSQL share the machine.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEmbeddedPostgres } from "@seclog/demo/embedded-postgres";
import { setupDatabase } from "seclog/postgres/schema";
import { median, table } from "./report.js";

const SECLOG = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));

const event = (n) => ({
  event_type: "authn_login_fail",
  method: "POST",
  path: `/login/${n % 500}`,
  status_code: 401,
  ip_address: `203.0.${n % 113}.${n % 251}`,
  user_agent: `Mozilla/5.0 (X11; Linux x86_64) Chrome/${100 + (n % 40)}.0.0.0 Safari/537.36`,
  actor_id: `user-${n % 1_000}`,
  data: { reason: "password", attempt: n },
});

const attribute = (key, value) => ({
  key,
  value: typeof value === "number" ? { intValue: `${value}` } : { stringValue: value },
});
const record = (n) => {
  const { event_type: eventName, method, path, status_code, ip_address, user_agent, actor_id } = event(n);
  return {
    eventName,
    attributes: [
      attribute("http.request.method", method),
      attribute("url.path", path),
      attribute("http.response.status_code", status_code),
      attribute("client.address", ip_address),
      attribute("user_agent.original", user_agent),
      attribute("user.id", actor_id),
      attribute("attempt", n),
    ],
  };
};

const numbers = (count) => Array.from({ length: count }, (_, n) => n);
const FORMS = {
  "JSON, one event": { path: "/v1/events", type: "application/json", events: 1, body: JSON.stringify(event(1)) },
  "NDJSON, 200 events": {
    path: "/v1/events",
    type: "application/x-ndjson",
    events: 200,
    body: numbers(200)
      .map((n) => JSON.stringify(event(n)))
      .join("\n"),
  },
  "OTLP (JSON), 200 events": {
    path: "/v1/logs",
    type: "application/json",
    events: 200,
    body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: numbers(200).map(record) }] }] }),
  },
};

/** @param {{ rounds?: number, seconds?: number, senders?: number, slow?: number }} options */
export async function benchCollect({ rounds = 3, seconds = 4, senders = 8, slow = 10_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const postgres = await startEmbeddedPostgres({
    directory: join(folder, "postgres"),
    settings: { max_wal_size: "4GB" },
  });
  const at = (user) =>
    Object.assign(new URL(postgres.url), {
      pathname: "/bench",
      ...(user && { username: user, password: "bench-only" }),
    }).href;
  const children = [];
  try {
    await setupDatabase({ adminUrl: postgres.url, writerUrl: at("writer"), readerUrl: at("reader") });
    const spool = join(folder, "spool");
    const environment = { ...process.env, SECLOG_DATABASE_URL: at("writer"), SECLOG_COLLECT_SPOOL: spool };
    const made = JSON.parse(
      await firstLine(
        spawn(process.execPath, [SECLOG, "tokens", "create", "--json", "--name", "bench", "--service", "bench"], {
          env: environment,
        }),
      ),
    );
    const limits = [
      "--rate",
      "10000000",
      "--spool-mib",
      "8192",
      "--connections",
      "12000",
      "--connections-per-address",
      "12000",
    ];
    const syslog = ["--syslog", "tcp://127.0.0.1:0", "--syslog-sender", "bench"];
    const collector = spawn(
      process.execPath,
      [SECLOG, "collect", "--json", "--listen", "127.0.0.1:0", ...limits, ...syslog],
      { env: environment },
    );
    const bare = spawn(process.execPath, [fileURLToPath(new URL("collect-child.js", import.meta.url))]);
    children.push(collector, bare);
    const { listening } = JSON.parse(await firstLine(collector));
    const origins = { bare: `http://127.0.0.1:${await firstLine(bare)}`, seclog: listening[0] };
    const rows = [];
    for (const [name, form] of Object.entries(FORMS)) {
      const results = { bare: [], seclog: [] };
      for (let round = 0; round < rounds; round++) {
        for (const [who, origin] of Object.entries(origins)) {
          results[who].push(await load(origin, form, made.token, { seconds, senders }));
          // What the round left to ship must not cost the next one.
          if (who === "seclog") await untilShipped(origins.seclog);
        }
      }
      const of = (who, what) => median(results[who].map((result) => result[what]));
      rows.push([
        name,
        Math.round(of("seclog", "rate")).toLocaleString("en"),
        Math.round(of("bare", "rate")).toLocaleString("en"),
        (of("seclog", "rate") / of("bare", "rate")).toFixed(2),
        `${of("seclog", "p99").toFixed(1)} ms`,
        `${of("bare", "p99").toFixed(1)} ms`,
      ]);
    }
    console.log(`\nCollector: events a second, ${senders} senders, median of ${rounds} rounds of ${seconds} s\n`);
    table(["form", "seclog collect", "bare Hono", "ratio", "p99", "p99 of bare Hono"], rows);
    const rate = await syslogRate(listening[1], origins.seclog, 50_000);
    console.log(`\nSyslog over TCP, one connection: ${Math.round(rate).toLocaleString("en")} messages a second taken`);
    const before = residentMiB(collector.pid);
    const { open, resident } = await slowConnections(origins.seclog, slow, () => residentMiB(collector.pid));
    console.log(`${open} connections that have sent half a header: ${resident - before} MiB more, of ${before} MiB`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function firstLine(child) {
  let text = "";
  child.stderr.on("data", (chunk) => process.stderr.write(chunk));
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return text.split("\n")[0];
}

/** Sends as fast as the server answers, over connections that stay open. */
async function load(origin, { path, type, events, body }, token, { seconds, senders }) {
  const agent = new Agent({ keepAlive: true, maxSockets: senders });
  const headers = { "content-type": type, "content-length": Buffer.byteLength(body), authorization: `Bearer ${token}` };
  const times = [];
  const end = performance.now() + seconds * 1000;
  const send = () =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const sent = request(`${origin}${path}`, { method: "POST", agent, headers }, (response) => {
        response.resume();
        response.on("end", () => {
          if (response.statusCode !== 202 && response.statusCode !== 200)
            reject(new Error(`${path}: ${response.statusCode}`));
          times.push(performance.now() - start);
          resolve();
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  const sender = async () => {
    while (performance.now() < end) await send();
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: senders }, sender));
  const taken = (performance.now() - start) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  return { rate: (times.length * events) / taken, p99: times[Math.floor(times.length * 0.99)] };
}

async function metric(origin, name) {
  const text = await (await fetch(`${origin}/metrics`)).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (.+)$`, "m").exec(text)?.[1] ?? 0);
}

async function untilShipped(origin) {
  while ((await metric(origin, "seclog_collect_events_behind")) > 0) await sleep(100);
}

async function syslogRate(url, origin, count) {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const lines = numbers(1_000)
    .map((n) => `<38>1 2026-01-01T00:00:00Z web-1 sshd ${n} - - Failed password for user-${n}\n`)
    .join("");
  const taken = () => metric(origin, 'seclog_collect_events_total{receiver="syslog",outcome="recorded"}');
  const start = performance.now();
  for (let sent = 0; sent < count; sent += 1_000)
    if (!socket.write(lines)) await new Promise((done) => socket.once("drain", done));
  socket.end();
  while ((await taken()) < count) await sleep(20);
  return (count / (performance.now() - start)) * 1000;
}

async function slowConnections(origin, count, measure) {
  const { port } = new URL(origin);
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: 200 }, (_, n) => {
      // A process has some 28,000 ports for each of the machine's own addresses.
      const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: `127.0.1.${1 + (n % 200)}` });
      socket.on("error", () => {});
      return socket;
    });
    await Promise.all(some.map((socket) => new Promise((done) => socket.once("connect", done))));
    for (const socket of some) socket.write("POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: ");
    sockets.push(...some);
  }
  await sleep(500);
  const open = sockets.filter((socket) => !socket.destroyed).length;
  const resident = measure();
  for (const socket of sockets) socket.destroy();
  return { open, resident };
}

function residentMiB(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024);
}
