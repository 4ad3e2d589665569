import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { send } from "./support/http-client.ts";

/** A server that knows nothing of Seclog. It ends with its parent. */
const SERVER = `
import { createServer } from "node:http";
import { Worker } from "node:worker_threads";
new Worker("0", { eval: true }).on("exit", () => {
  const server = createServer((request, response) => {
    response.statusCode = Number(request.url.slice(1));
    response.end();
  });
  server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
});
process.on("disconnect", () => process.exit());
`;

it("node --import seclog/register - prints what any server refuses, without a database and in the main thread only", async () => {
  // Where Node finds the package.
  const folder = mkdtempSync(fileURLToPath(new URL("fixtures/register-", import.meta.url)));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const server = join(folder, "server.mjs");
  writeFileSync(server, SERVER);
  const { SECLOG_DATABASE_URL: _, ...env } = process.env;
  const child = spawn(process.execPath, ["--import", "seclog/register", server], {
    cwd: folder,
    env: { ...env, SECLOG_SERVICE: "shop", SECLOG_TRUST_PROXY: "loopback", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let printed = "";
  let warned = "";
  child.stdout?.on("data", (part) => (printed += String(part)));
  child.stderr?.on("data", (part) => (warned += String(part)));
  const port = async (): Promise<number> => {
    await expect.poll(() => printed).toMatch(/port \d+/);
    return Number(/port (\d+)/.exec(printed)?.[1]);
  };
  await send(await port(), "GET", "/401", { headers: { "x-forwarded-for": "203.0.113.9" } });
  await send(await port(), "GET", "/200");
  await expect.poll(() => printed).toContain("unauthenticated_request");
  expect(printed).toContain("203.0.113.9");
  expect(printed.match(/unauthenticated_request/g)).toHaveLength(1);
  expect(warned).toBe("seclog: SECLOG_DATABASE_URL is not set, so security events are printed here and kept nowhere\n");
  child.disconnect();
  await once(child, "exit");
});
