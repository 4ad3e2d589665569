/** Next.js: one build of the contract's application for its cases, and for a deployment with standalone output. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { captureContract } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { root } from "../scripts/files.js";
import { builtNext, nextFramework } from "./capture-contract/next.js";
import { steadyPort } from "./support/port.js";

let app: string;

beforeAll(async () => {
  app = await builtNext();
}, 300_000);

afterAll(() => rmSync(app, { recursive: true, force: true }));

describe("the capture contract with Next 16", () => {
  for (const { title, skip, run } of captureContract(nextFramework)) it.skipIf(skip !== undefined)(title, run);
});

describe("a Next.js application with standalone output, away from the repository", () => {
  let folder: string;
  let server: ChildProcess;
  let port: number;
  let output = "";

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "seclog-next-"));
    cpSync(join(app, ".next", "standalone"), folder, { recursive: true, verbatimSymlinks: true });
    port = await steadyPort();
    server = spawn(process.execPath, ["server.js"], {
      cwd: join(folder, relative(root, app)),
      env: {
        PATH: process.env["PATH"],
        PORT: String(port),
        HOSTNAME: "127.0.0.1",
        NEXT_MANUAL_SIG_HANDLE: "true",
        SPOOL: join(folder, "spool"),
        EVENTS: join(folder, "events.ndjson"),
      },
    });
    for (const stream of [server.stdout, server.stderr])
      stream?.on("data", (part) => {
        output += part;
      });
    await vi.waitUntil(() => output.includes("Ready"), { timeout: 30_000 });
  });

  afterAll(() => {
    server.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  /** The events in the file. */
  const events = (): readonly { readonly [name: string]: unknown }[] => {
    const path = join(folder, "events.ndjson");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line) as { readonly [name: string]: unknown });
  };

  async function ask(method: string, path: string, headers: OutgoingHttpHeaders = {}, body = ""): Promise<number> {
    const sent = request({
      ...{ host: "127.0.0.1", port, method, path, agent: false },
      headers: { "x-forwarded-for": "203.0.113.9", ...headers },
    });
    sent.end(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    await once(response.resume(), "end");
    return response.statusCode ?? 0;
  }

  /** A form for the Server Action of the page. */
  const transfer = async (amount: string, origin: string): Promise<number> => {
    const page = await (await fetch(`http://127.0.0.1:${port}/transfer`)).text();
    const action = /name="(\$ACTION_ID_\w+)"/.exec(page)?.[1] ?? "";
    const part = (name: string, value: string): string =>
      `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const headers = { "content-type": "multipart/form-data; boundary=b", origin };
    return await ask("POST", "/transfer", headers, `${part(action, "")}${part("amount", amount)}--b--\r\n`);
  };

  it("records what routes, the proxy, pages and Server Actions refuse, once each, in one log", async () => {
    await expect.poll(() => events().length, { message: output }).toBe(1);
    const own = `http://127.0.0.1:${port}`;
    const statuses = [
      await ask("PATCH", "/api/orders/7"),
      await ask("GET", "/private"),
      await ask("GET", "/admin", { "x-user": "ada" }),
      await transfer("100", own),
      await transfer("-1", own),
      await transfer("100", "https://evil.example"),
      await ask("POST", "/"),
      await ask("GET", "/broken"),
    ];
    expect(statuses, output).toEqual([405, 401, 403, 303, 500, 500, 405, 500]);
    await expect.poll(() => events().length, { message: output }).toBeGreaterThanOrEqual(8);
    const seen = events().map((event) =>
      ["event_type", "level", "route", "status_code", "actor_id", "ip_address", "allowed_methods"]
        .map((name) => event[name] ?? "")
        .join(" "),
    );
    expect(seen.map((line) => line.trim())).toEqual([
      "log_started info",
      "illegal_request_method warning /api/orders/[id] 405  203.0.113.9 GET, HEAD, DELETE",
      "unauthenticated_request warning  401  203.0.113.9",
      "authz_fail critical /admin 403 ada 203.0.113.9",
      "sys_error error /transfer 500  203.0.113.9",
      "malicious_csrf warning /transfer 500  203.0.113.9",
      "illegal_request_method warning / 405  203.0.113.9 GET, HEAD",
      "sys_error error /broken 500  203.0.113.9",
    ]);
  });

  it("closes its log when it is told to stop", async () => {
    server.kill("SIGTERM");
    await once(server, "exit");
    expect(events().at(-1)).toMatchObject({ event_type: "log_stopped" });
  });
});
