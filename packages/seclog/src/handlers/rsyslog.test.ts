/** The handler of syslog and a real rsyslog: over TLS, TCP and UDP, and when rsyslog is killed. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { hasOpenssl, makeCertificates } from "#test/support/tls-postgres.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { type SyslogHandlerOptions, syslogHandler } from "./syslog.ts";

const TLS_DRIVER = "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_ossl.so";
const hasRsyslog = spawnSync("rsyslogd", ["-v"]).status === 0 && existsSync(TLS_DRIVER) && hasOpenssl;
if (!hasRsyslog) console.log("SKIPPED: rsyslog is not installed (Debian: rsyslog, rsyslog-openssl)");

let folder: string;
let ports: { readonly tls: number; readonly tcp: number; readonly udp: number };
let ca: string;
let rsyslog: ChildProcess | undefined;

beforeAll(async () => {
  if (!hasRsyslog) return;
  folder = mkdtempSync(join(tmpdir(), "seclog-rsyslog-"));
  const made = makeCertificates(folder);
  ca = readFileSync(made.authority, "utf8");
  const [tls = 0, tcp = 0, udp = 0] = await Promise.all([freePort(), freePort(), freePort()]);
  ports = { tls, tcp, udp };
  const { cert, key } = made.server("good");
  const output = `action(type="omfile" file="${join(folder, "received")}" template="whole")`;
  writeFileSync(
    join(folder, "rsyslog.conf"),
    `global(workDirectory="${folder}" maxMessageSize="64k" defaultNetstreamDriverCAFile="${made.authority}"
       defaultNetstreamDriverCertFile="${cert}" defaultNetstreamDriverKeyFile="${key}")
     module(load="imtcp") module(load="imptcp") module(load="imudp")
     template(name="whole" type="string" string="%pri% %app-name% %procid% %msgid% %structured-data% %msg%\\n")
     ruleset(name="all") { ${output} }
     input(type="imtcp" address="127.0.0.1" port="${tls}" ruleset="all"
       streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
     input(type="imptcp" address="127.0.0.1" port="${tcp}" ruleset="all")
     input(type="imudp" address="127.0.0.1" port="${udp}" ruleset="all")`,
  );
  await start();
});

afterAll(async () => {
  if (!hasRsyslog) return;
  await stop("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(): Promise<void> {
  rmSync(join(folder, "pid"), { force: true });
  const args = ["-n", "-f", join(folder, "rsyslog.conf"), "-i", join(folder, "pid")];
  rsyslog = spawn("rsyslogd", args, { stdio: "ignore" });
  for (const port of [ports.tls, ports.tcp]) await vi.waitUntil(() => listens(port), 20_000);
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => rsyslog?.once("exit", resolve));
  rsyslog?.kill(signal);
  await ended;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** The ids of a source that rsyslog has written, in its order. */
function received(sourceId: string): readonly string[] {
  const file = join(folder, "received");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const lines = text.split("\n").filter((line) => line.includes(` source="${sourceId}"`));
  return lines.map((line) => / id="([^"]+)"/.exec(line)?.[1] ?? "");
}

function handler(transport: "tls" | "tcp" | "udp", options: Partial<SyslogHandlerOptions> = {}) {
  return syslogHandler({ url: `syslog+${transport}://127.0.0.1:${ports[transport]}`, ...options });
}

const source = (last: string): string => `019aad2f-0000-7000-8000-00000000000${last}`;
const NEVER = new AbortController().signal;

describe.skipIf(!hasRsyslog)("syslogHandler() and rsyslog", () => {
  it.each([
    ["tls", "1", {}],
    ["tcp", "2", {}],
    ["tcp", "3", { framing: "newline" }],
    ["tcp", "4", { confirm: "sent" }],
    ["udp", "5", {}],
  ] as const)("stores every event over %s (%s, %j)", async (transport, last, options) => {
    const made = handler(transport, { ...options, ...(transport === "tls" ? { tls: { ca } } : {}) });
    const batch = exampleBatch({ sourceId: source(last), count: 50, event: { userAgent: 'a\nb]\\"\u202e 日本' } });
    await made.handle(batch, NEVER);
    await made.handle({ ...batch, ...exampleBatch({ sourceId: source(last), firstSeq: 51, count: 50 }) }, NEVER);
    await made.close();
    await expect.poll(() => new Set(received(source(last))).size).toBe(100);
    const line =
      readFileSync(join(folder, "received"), "utf8")
        .split("\n")
        .find((one) => one.includes(source(last))) ?? "";
    const [, priority, app, json = ""] = /^(\d+) (\S+) \S+ authz_fail \[.*?[^\\]\] (\{.*\})$/.exec(line) ?? [];
    expect([priority, app]).toEqual(["106", "example"]);
    expect(JSON.parse(json)).toMatchObject({ source_id: source(last), user_agent: 'a\nb]\\"\u202e 日本' });
  });

  it("stops for an operator when the certificate is not trusted", async () => {
    const made = handler("tls");
    await expect(made.handle(exampleBatch({ sourceId: source("6") }), NEVER)).rejects.toMatchObject({
      kind: "destination",
      message: expect.stringContaining("tls.ca names the authorities to trust"),
    });
    expect(received(source("6"))).toEqual([]);
  });

  it("fails for now while rsyslog is dead, and loses nothing that it confirmed", async () => {
    const made = handler("tcp");
    const batch = (firstSeq: number) => exampleBatch({ sourceId: source("7"), firstSeq, count: 20 });
    await made.handle(batch(1), NEVER);
    await expect.poll(() => received(source("7")).length).toBe(20);
    await stop("SIGKILL");
    await expect(made.handle(batch(21), NEVER)).rejects.toMatchObject({ kind: "retry" });
    await start();
    await made.handle(batch(21), NEVER);
    await made.close();
    await expect.poll(() => new Set(received(source("7"))).size).toBe(40);
  });
});
