/**
 * An application's settings of Node also apply to its handlers, which run in the shipper's thread. Each test is a
 * process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let folder: string;

/** A handler that records what it sees in its thread. */
const REPORT = `
  import { writeFileSync } from "node:fs";
  import tls from "node:tls";
  import dns from "node:dns";
  import net from "node:net";
  export const createHandler = ({ out }) => ({
    name: "settings",
    handle: async () => writeFileSync(out, JSON.stringify({
      min: tls.DEFAULT_MIN_VERSION, max: tls.DEFAULT_MAX_VERSION, ciphers: tls.DEFAULT_CIPHERS,
      order: dns.getDefaultResultOrder(), family: net.getDefaultAutoSelectFamily(),
      wait: net.getDefaultAutoSelectFamilyAttemptTimeout(), preloaded: globalThis.preloaded ?? null,
      proto: "__proto__" in {}, title: process.title, env: process.env.FROM_FILE ?? null,
      roots: tls.getCACertificates?.("default").length ?? null,
      condition: (await import("#condition").catch(() => ({}))).default ?? null,
    })),
    close: async () => {},
  });`;

/**
 * Messages that other code posts between threads: shapeless ones, ones in another format, and ones in ours with
 * impossible contents.
 */
const FOREIGN = `[
  null, undefined, 0, "ready", 1n, [], {}, { type: null }, { type: "ready" }, { type: "wake" }, { type: "stop" }, { type: "stopped" },
  { type: "reply", id: 1 }, { type: "drain", id: 1, deadline: "soon" }, { type: "drained" }, { type: "acknowledged" },
  { type: "acknowledged", handler: 7, seq: 1e9, health: null }, { type: "health" }, { type: "failed" }, { type: "seized" },
  { type: "quarantined" }, { type: "call" }, { type: "call", id: 1, handler: 0, lengths: "3" }, { type: "abort" }, { type: "freed" },
]`;

/** The script of the application; `before` runs first. */
const script = (out: string, module: string, before = ""): string => `
  import { createSecurityLog } from "seclog";
  import { readFileSync } from "node:fs";
  import tls from "node:tls";
  import dns from "node:dns";
  import net from "node:net";
  ${before}
  const worker = { module: ${JSON.stringify(module)}, options: { out: ${JSON.stringify(out)} } };
  const close = async () => {};
  const log = createSecurityLog({
    spool: { directory: ${JSON.stringify(`${out}-spool`)} }, handlers: [{ name: "settings", handle: close, close, worker }],
    diagnostics: ({ code, message }) => { console.log(code + ": " + message); process.exit(1); },
  });
  await log.recordSecurityEvent("authz_fail").stored;
  await log.close();
  const roots = tls.getCACertificates?.("default").length ?? null;
  console.log(JSON.stringify({ ...JSON.parse(readFileSync(${JSON.stringify(out)}, "utf8")), rootsOfMain: roots }));`;

beforeAll(() => {
  // Where the packages resolve, except for TypeScript, which Node does not strip below node_modules.
  folder = mkdtempSync(fileURLToPath(new URL("../../.settings-", import.meta.url)));
  const files = {
    "package.json": JSON.stringify({
      type: "module",
      imports: { "#condition": { shop: "./shop.js", default: "./other.js" } },
    }),
    "shop.js": 'export default "shop";',
    "other.js": 'export default "other";',
    "report.js": REPORT,
    "report.ts": REPORT.replace("({ out })", "({ out }: { out: string })"),
    "preload.mjs": "globalThis.preloaded = true;",
    "preload.cjs": "globalThis.preloaded = true;",
    "posts.mjs": `
      import { isMainThread, parentPort } from "node:worker_threads";
      globalThis.preloaded = true;
      const post = () => { for (const message of ${FOREIGN}) parentPort.postMessage(message); };
      if (!isMainThread) { post(); setInterval(post, 5); }`,
    "silences.mjs": `
      import { isMainThread, parentPort } from "node:worker_threads";
      globalThis.preloaded = true;
      if (!isMainThread) { parentPort.postMessage = () => {}; parentPort.on = () => parentPort; parentPort.close(); }`,
    env: "FROM_FILE=yes",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

let runs = 0;

async function settings(
  flags: readonly string[],
  { before = "", module = "report.js", eval: asString = false, env = {} as { readonly [name: string]: string } } = {},
): Promise<unknown> {
  const name = `run-${runs++}`;
  const code = script(join(folder, `${name}.json`), new URL(`file://${join(folder, module)}`).href, before);
  writeFileSync(join(folder, `${name}.mjs`), code);
  const what = asString ? ["--eval", code] : [join(folder, `${name}.mjs`)];
  const child = spawn(process.execPath, [...flags, ...what], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (errors += text));
  await once(child, "close");
  try {
    return JSON.parse(output);
  } catch {
    throw new Error(`${output}${errors}`);
  }
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const preload = { preloaded: true };

describe("the shipper's thread", () => {
  it.concurrent.each<[string, readonly string[], object]>([
    ["--tls-min-v1.3", ["--tls-min-v1.3"], { min: "TLSv1.3" }],
    ["--tls-max-v1.2", ["--tls-max-v1.2"], { max: "TLSv1.2" }],
    [
      "--tls-cipher-list",
      ["--tls-cipher-list=ECDHE-RSA-AES128-GCM-SHA256"],
      { ciphers: "ECDHE-RSA-AES128-GCM-SHA256" },
    ],
    ["--dns-result-order", ["--dns-result-order=ipv4first"], { order: "ipv4first" }],
    ["--no-network-family-autoselection", ["--no-network-family-autoselection"], { family: false }],
    [
      "--network-family-autoselection-attempt-timeout",
      ["--network-family-autoselection-attempt-timeout=777"],
      { wait: 777 },
    ],
    ["--import", ["--import", "./preload.mjs"], preload],
    ["-r with a value of its own", ["-r", "./preload.cjs"], preload],
    ["--conditions", ["-C", "shop"], { condition: "shop" }],
    ["--disable-proto", ["--disable-proto=delete"], { proto: false }],
    ["--title", ["--title", "shop"], { title: "shop" }],
    ["--env-file", ["--env-file=env"], { env: "yes" }],
    ["--max-old-space-size beside others", ["--max-old-space-size=300", "--tls-min-v1.3"], { min: "TLSv1.3" }],
    ["--icu-data-dir beside others", ["--icu-data-dir", "/tmp", "--tls-min-v1.3"], { min: "TLSv1.3" }],
    ["--unhandled-rejections", ["--unhandled-rejections=warn", "--tls-min-v1.3"], { min: "TLSv1.3" }],
    ["--inspect", ["--inspect=0", "--tls-min-v1.3"], { min: "TLSv1.3" }],
  ])("has %s", async (_, flags, expected) => {
    await expect(settings(flags)).resolves.toMatchObject(expected);
  });

  it.concurrent("has the flags of NODE_OPTIONS", async () => {
    const env = { NODE_OPTIONS: "--tls-min-v1.3 --import=./preload.mjs" };
    await expect(settings([], { env })).resolves.toMatchObject({ min: "TLSv1.3", ...preload });
  });

  it.concurrent.each([["--input-type=module"], ["--input-type", "module"]])(
    "starts in a program of --eval %s",
    async (...type) => {
      const program = settings([...type, "--tls-min-v1.3"], { eval: true });
      await expect(program).resolves.toMatchObject({ min: "TLSv1.3" });
    },
  );

  it.concurrent.each(["posts", "silences"])("ships beside a preload that %s on parentPort", async (name) => {
    await expect(settings(["--import", `./${name}.mjs`])).resolves.toMatchObject(preload);
  });

  it.concurrent("ships beside code that posts to every thread", async () => {
    const before = `
      process.on("worker", (worker) => {
        const post = () => { for (const message of ${FOREIGN}) worker.postMessage(message); };
        post();
        setInterval(post, 5).unref();
      });`;
    await expect(settings([], { before })).resolves.toMatchObject({ preloaded: null });
  });

  it.concurrent("has the settings that code changed before the log was created", async () => {
    const before = `
      tls.DEFAULT_MIN_VERSION = "TLSv1.3"; tls.DEFAULT_CIPHERS = "TLS_AES_256_GCM_SHA384"; dns.setDefaultResultOrder("ipv4first");
      net.setDefaultAutoSelectFamily(false); net.setDefaultAutoSelectFamilyAttemptTimeout(1234);`;
    await expect(settings([], { before })).resolves.toMatchObject({
      min: "TLSv1.3",
      ciphers: "TLS_AES_256_GCM_SHA384",
      order: "ipv4first",
      family: false,
      wait: 1234,
    });
  });

  const stripping = major > 22 || (major === 22 && minor >= 18) ? [] : ["--experimental-strip-types"];
  it.skipIf(major < 22).concurrent(
    "runs a handler's module in TypeScript where the application may be in it",
    async () => {
      await expect(settings(stripping, { module: "report.ts" })).resolves.toMatchObject({ condition: "other" });
    },
  );

  it.skipIf(major >= 22).concurrent("says aloud that it cannot run one where the application may not", async () => {
    await expect(settings([], { module: "report.ts" })).rejects.toThrow(
      /^SECLOG_CONFIG: the shipper's thread ended: the handler settings cannot be made in the thread: Unknown file extension "\.ts"/,
    );
  });

  it.skipIf(major < 22 || (major === 22 && minor < 19)).concurrent(
    "has the system's authorities with --use-system-ca",
    async () => {
      const { roots, rootsOfMain } = (await settings(["--use-system-ca"])) as { roots: number; rootsOfMain: number };
      expect(roots).toBe(rootsOfMain);
    },
  );
});
