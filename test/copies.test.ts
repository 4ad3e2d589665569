/** Two copies of the package in one process: two installed versions, or a bundle beside the package. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const DIST = new URL("../packages/seclog/dist/", import.meta.url);

let folder: string;

beforeAll(() => {
  // Inside node_modules, so that the copy finds its dependencies.
  folder = mkdtempSync(fileURLToPath(new URL("../node_modules/.copies-", import.meta.url)));
  cpSync(fileURLToPath(new URL("../packages/seclog", import.meta.url)), join(folder, "seclog"), {
    recursive: true,
    filter: (path) => !/\/(src|\.[^/]*)$/.test(path),
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * Runs a program that has the two copies as `a` and `b`, `open(copy)` for a log and `request(listener, path)`. Returns
 * the events, and the codes of the diagnostics.
 */
function run(body: string): { events: { type: string; path?: string; actorId?: string }[]; codes: string[] } {
  const program = `
    import { createServer } from "node:http";
    import { once } from "node:events";
    const load = async (base) => ({
      ...(await import(base + "index.js")), http: await import(base + "capture/node/http.js"), express: await import(base + "capture/express/express.js"),
    });
    const a = await load(${JSON.stringify(DIST.href)});
    const b = await load(${JSON.stringify(new URL(`file://${folder}/seclog/dist/`).href)});
    const [events, codes] = [[], []];
    const sink = (name) => ({ name, handle: async (batch) => void events.push(...batch.events), close: async () => {} });
    const open = ({ createSecurityLog }) =>
      createSecurityLog({ spool: "memory", handlers: [sink("sink")], diagnostics: ({ code }) => codes.push(code) });
    const request = async (listener, path) => {
      const server = createServer(listener).listen(0, "127.0.0.1");
      await once(server, "listening");
      await (await fetch("http://127.0.0.1:" + server.address().port + path)).text();
      server.close();
    };
    ${body}
    console.log(JSON.stringify({ events: events.filter(({ category }) => category !== "log"), codes }));`;
  const file = join(folder, `program-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(file, program);
  const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 60_000 });
  try {
    return JSON.parse(stdout) as ReturnType<typeof run>;
  } catch {
    throw new Error(`${stdout}${stderr}`);
  }
}

describe("two copies of the package", () => {
  it("record one event for a refusal that both capture", () => {
    const { events } = run(`
      const log = open(a);
      const refuse = (request, response) => { response.statusCode = 403; response.end(); };
      await request(a.http.securityCapture(log, b.http.securityCapture(log, refuse)), "/both");
      await log.close();`);
    expect(events).toMatchObject([{ type: "authz_fail", path: "/both" }]);
  });

  it("record one event, with request and actor, for a refusal that one records and the other captures", () => {
    const { events } = run(`
      const [log, other] = [open(a), open(b)];
      const refuse = (request, response) => {
        b.setActor("ada");
        other.recordSecurityEvent("authz_fail");
        response.statusCode = 403;
        response.end();
      };
      await request(a.http.securityCapture(log, refuse), "/mixed");
      await other.close();
      await log.close();`);
    expect(events).toMatchObject([{ type: "authz_fail", path: "/mixed", actorId: "ada" }]);
  });

  it("report once that they cannot share their requests", () => {
    const { codes } = run(`
      globalThis[Symbol.for("seclog.copies")] = new Map([[99, { version: "9.0.0" }]]);
      const log = open(a);
      while (codes.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      await new Promise((resolve) => setTimeout(resolve, 2_100));
      await log.close();`);
    expect(codes).toEqual(["SECLOG_COPIES"]);
  });
});
