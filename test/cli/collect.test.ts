import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, eventually, ndjson, programOf, resultOf } from "../support/program.ts";

let database: TestDatabase;
let spool: string;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), "seclog-collect-cli-"));
});
afterEach(() => rmSync(spool, { recursive: true, force: true }));

const { seclog, startProgram } = programOf(() => database);
const tokens = (...args: string[]) => seclog(["tokens", ...args], { SECLOG_COLLECT_SPOOL: spool });

describe("seclog tokens", () => {
  it("prints a token once, and lists and revokes it without its secret", async () => {
    const made = await tokens("create", "--name", "shop", "--service", "shop-api", "--type", "authn_*");
    const [token = ""] = made.stdout.split("\n");
    expect(token).toMatch(/^seclog_[0-9a-f]{8}_[\w-]{43}$/);
    const list = await tokens("list");
    expect(list.stdout).toContain("shop-api");
    expect(list.stdout).toContain("authn_*");
    expect((await tokens("revoke", "shop")).stdout).toContain("Revoked shop");
    const [entry] = ndjson((await tokens("list", "--json")).stdout);
    expect(entry).toMatchObject({
      name: "shop",
      services: ["shop-api"],
      types: ["authn_*"],
      revokedAt: expect.anything() as unknown,
    });
    for (const text of [list.stdout, JSON.stringify(entry)]) expect(text).not.toContain(token.slice(16));
    expect(entry).not.toHaveProperty("hash");
  });

  it.each([
    [["create", "--name", "a b", "--service", "x"], 'the name "a b"'],
    [["create", "--name", "a", "--service", "x", "--type", "A*"], 'the type "A*"'],
    [["revoke", "nobody"], 'no token has the name or id "nobody": there is none'],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await tokens(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it("refuses a second token of a name, until the first is revoked", async () => {
    const create = ["create", "--name", "shop", "--service", "x"];
    expect((await tokens(...create)).code).toBe(0);
    expect((await tokens(...create)).stderr).toContain("there is a token shop");
    await tokens("revoke", "shop");
    expect((await tokens(...create)).code).toBe(0);
  });

  it("asks for a spool", async () => {
    expect((await seclog(["tokens", "list"])).stderr).toContain("SECLOG_COLLECT_SPOOL");
  });
});

describe("seclog collect", () => {
  it("receives until it is asked to end, and has stored everything then", async () => {
    const [{ token = "" } = {}] = ndjson(
      (await tokens("create", "--json", "--name", "shop", "--service", "shop")).stdout,
    );
    const child = startProgram(["collect", "--listen", "127.0.0.1:0", "--spool", spool, "--json"]);
    const output = collect(child.stdout);
    await eventually(() => output().includes("\n"), "the collector listens");
    const [{ listening = [] } = {}] = ndjson(output()) as { listening?: string[] }[];
    const response = await fetch(`${listening[0]}/v1/events`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${String(token)}` },
      body: JSON.stringify({ event_type: "privilege_permissions_changed" }),
    });
    expect(response.status).toBe(202);
    const ended = resultOf(child);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    const rows = await database.query(
      "SELECT FROM security_event_log WHERE event_type = 'privilege_permissions_changed' AND service = 'shop'",
    );
    expect(rows).toHaveLength(1);
  });

  it.each([
    [["--tls-cert", "x.pem"], "--tls-cert and --tls-key go together"],
    [["--tls-cert", "none.pem", "--tls-key", "none.key"], "the certificate none.pem cannot be read"],
    [["--syslog", "udp://127.0.0.1:0"], "--syslog needs --syslog-sender"],
    [["--syslog", "http://x", "--syslog-sender", "a"], "is not udp://HOST:PORT"],
    [["--syslog", "tls://127.0.0.1:0", "--syslog-sender", "a"], "needs --tls-cert"],
    [["--syslog-sender", "a"], "go with --syslog URL"],
    [["--syslog", "udp://127.0.0.1:0", "--syslog-sender", "nobody"], 'no token has the name "nobody"'],
    [["--rate", "0"], "--rate"],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await seclog(["collect", "--listen", "127.0.0.1:0", "--spool", spool, ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
