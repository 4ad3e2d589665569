/** The console mounted into an application that Next.js's own program builds and serves. */
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished, vi } from "vitest";
import { root } from "../scripts/files.js";
import { installPacked } from "./support/pack.ts";
import { steadyPort } from "./support/port.js";
import { createTestDatabase } from "./support/postgres.ts";
import { fillSampleLog, recordNow } from "./support/sample-log.ts";

const next = join(root, "node_modules/next/dist/bin/next");

const ROUTE = `import { securityConsole } from "@seclog/server/console";

const mounted = securityConsole({
  basePath: "/ops/seclog",
  authorize: (request) => (request.headers.get("x-user") === "ada" ? { name: "ada", role: "admin" } : undefined),
});

export const { GET, POST, PATCH, DELETE } = mounted.route;
`;

it("Next.js serves the console, its API and its stream from one route", async () => {
  await using database = await createTestDatabase();
  await fillSampleLog(database, { events: 30, hostile: false });
  mkdirSync(join(root, "var"), { recursive: true });
  // In the repository, since Next wants its packages below its own root.
  const folder = mkdtempSync(join(root, "var", "console-next-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  write("package.json", '{ "private": true, "type": "module" }');
  write(
    "next.config.mjs",
    `export default { serverExternalPackages: ["@seclog/server"], turbopack: { root: ${JSON.stringify(root)} } };`,
  );
  write(
    "app/layout.js",
    "export default function Layout({ children }) { return <html><body>{children}</body></html>; }",
  );
  write("app/page.js", "export default function Page() { return <p>shop</p>; }");
  write("app/ops/seclog/[[...path]]/route.js", ROUTE);
  await installPacked("server", join(folder, "node_modules"));
  const { VITEST: _, NODE_ENV: __, ...inherited } = process.env;
  const env = { ...inherited, NEXT_TELEMETRY_DISABLED: "1" } as NodeJS.ProcessEnv;
  // Without a database: a build has none.
  await promisify(execFile)(process.execPath, [next, "build"], { cwd: folder, env });
  const port = await steadyPort();
  const server = spawn(process.execPath, [next, "start", "-H", "127.0.0.1", "-p", String(port)], {
    cwd: folder,
    env: { ...env, SECLOG_READER_URL: database.readerUrl },
  });
  onTestFinished(() => void server.kill("SIGKILL"));
  let output = "";
  server.stdout.on("data", (part) => {
    output += part;
  });
  await vi.waitUntil(() => output.includes("Ready"), { timeout: 60_000 });

  const url = `http://127.0.0.1:${port}/ops/seclog`;
  const headers = { "x-user": "ada", "sec-fetch-site": "same-origin" };
  expect((await fetch(url)).status).toBe(401);
  for (const path of ["", "/", "/explore?q=a", "/entities/route/%2Forders%2F%3Aid"]) {
    const page = await fetch(`${url}${path}`, { headers });
    const text = await page.text();
    expect([path, page.status, page.headers.get("content-security-policy")]).toEqual([
      path,
      200,
      expect.stringContaining("default-src 'none'"),
    ]);
    expect(text).toContain('<base href="/ops/seclog/">');
    const script = /src="\.\/(assets\/[\w.-]+\.js)"/.exec(text)?.[1];
    expect((await fetch(`${url}/${script}`, { headers })).headers.get("content-type")).toContain("javascript");
  }
  expect((await fetch(`${url}/api/v1/verification`, { headers, method: "POST" })).status).toBe(202);
  const left = new AbortController();
  const stream = await fetch(`${url}/api/v1/stream?q=type:authn_login_lock`, { headers, signal: left.signal });
  let text = "";
  const reading = (async () => {
    for await (const chunk of stream.body ?? []) text += new TextDecoder().decode(chunk);
  })().catch(() => {});
  await vi.waitUntil(() => text.includes("event: ready"), { timeout: 10_000 });
  await recordNow(database, "authn_login_lock", "grace");
  await vi.waitUntil(() => text.includes("authn_login_lock"), { timeout: 2_000 });
  left.abort();
  await reading;
  // As many as there are: those that were left have made room.
  for (let n = 0; n < 51; n++) {
    const one = new AbortController();
    const { status, body } = await fetch(`${url}/api/v1/stream?q=type:none`, { headers, signal: one.signal });
    expect(status).toBe(200);
    await body?.getReader().read();
    one.abort();
  }
  server.kill("SIGKILL");
  await vi.waitUntil(() => server.exitCode !== null || server.signalCode !== null);
}, 240_000);
