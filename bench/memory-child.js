/**
 * One application of `bench/memory.js`: an HTTP-sized heap, with or without Seclog. Prints its resident memory in MiB
 * after its start, and the peak while it records COUNT events that are not shipped.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";

const [kind, count, url] = [process.argv[2], Number(process.argv[3]), process.env.SECLOG_DATABASE_URL];
const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
const app = express();
app.get("/", (_request, response) => response.send("ok"));
const server = app.listen(0, "127.0.0.1");
let log;
if (kind !== "without") {
  const { createSecurityLog } = await import("seclog");
  const { postgresHandler } = await import("seclog/postgres");
  log = createSecurityLog({
    service: "bench",
    spool: { directory: join(folder, "spool"), maxBytes: 4 * 1024 ** 3 },
    handlers: [postgresHandler({ url, tls: false })],
    diagnostics: () => {},
  });
}
const resident = () => process.memoryUsage.rss() / 1024 ** 2;
const settle = async () => {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  return resident();
};
const idle = await settle();
let most = idle;
const request = {
  method: "POST",
  url: "/login",
  headers: { host: "shop.example", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36" },
  socket: { remoteAddress: "203.0.113.9" },
};
for (let n = 0; n < count; n++) {
  // Without Seclog the same request is made, so that only Seclog's work differs.
  const data = { userid: `user-${n % 1_000}`, attempt: n };
  log?.recordSecurityEvent("authn_login_fail", request, data);
  if (n % 50 === 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (n % 5_000 === 0) most = Math.max(most, resident());
  }
}
const after = await settle();
const health = log?.health();
console.log(
  JSON.stringify({
    idle,
    most: Math.max(most, after),
    after,
    recorded: health?.recorded,
    dropped: health?.dropped,
    spooled: (health?.spooledBytes ?? 0) / 1024 ** 2,
  }),
);
server.close();
await log?.close({ deadline: 0 });
rmSync(folder, { recursive: true, force: true });
process.exit();
