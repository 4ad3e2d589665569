/** A script that waits for its events runs until they arrive; one that does not wait ends at once. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let folder: string;

beforeAll(() => {
  // Inside node_modules, so that the scripts find the packages.
  folder = mkdtempSync(fileURLToPath(new URL("../node_modules/.stay-alive-", import.meta.url)));
  writeFileSync(
    join(folder, "slow.mjs"),
    `let failures = 0;
     export const createHandler = ({ hang }) => ({
       name: "slow",
       handle: async () => {
         if (hang) await new Promise(() => {});
         if (failures++ < 3) throw new Error("not yet");
       },
       close: async () => {},
     });`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

let scripts = 0;

/** Runs a script with a log in its own process. Returns its exit code and output. */
async function run(
  body: string,
  { type = "mjs", spool = "disk", hang = false, flags = [] as string[] } = {},
): Promise<{ code: unknown; output: string }> {
  const name = `script-${scripts++}`;
  const options = { module: new URL(`file://${join(folder, "slow.mjs")}`).href, options: { hang } };
  const setUp = `
    const { createHandler } = await import(${JSON.stringify(options.module)});
    const handler = createHandler(${JSON.stringify(options.options)});
    const onThread = { ...handler, worker: ${JSON.stringify(options)} };
    const directory = ${JSON.stringify(join(folder, `${name}-spool`))};
    const spool = ${JSON.stringify(spool)} === "memory" ? "memory" : { directory };
    const log = createSecurityLog({ spool, handlers: [${JSON.stringify(spool)} === "disk" ? onThread : handler], diagnostics() {} });`;
  const imports =
    type === "cjs"
      ? `const { createSecurityLog } = require("seclog"); const { drainSpool } = require("seclog/spool"); const { test } = require("node:test");`
      : `import { createSecurityLog } from "seclog"; import { drainSpool } from "seclog/spool"; import { test } from "node:test";`;
  const main = type === "cjs" ? `(async () => { ${setUp} ${body} })();` : `${setUp} ${body}`;
  writeFileSync(join(folder, `${name}.${type}`), `${imports}\n${main}`);
  const child = spawn(process.execPath, [...flags, join(folder, `${name}.${type}`)], {
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  return { code, output };
}

const WAITS = {
  "receipt.stored": "await log.recordSecurityEvent('authz_fail').stored;",
  "receipt.durable": "await log.recordSecurityEvent('authz_fail').durable;",
  "flush()": "log.recordSecurityEvent('authz_fail'); await log.flush();",
  "close()": "log.recordSecurityEvent('authz_fail'); await log.close();",
  "drainSpool()": "await log.close({ deadline: 0 }); await drainSpool({ directory, handlers: [handler] });",
};

describe("a script that waits", () => {
  it.concurrent.each(
    Object.entries(WAITS).flatMap(([what, body]) =>
      ["cjs", "mjs"].flatMap((type) =>
        ["disk", "main thread", "memory"]
          .filter((spool) => what !== "drainSpool()" || spool === "disk")
          .map((spool) => [what, type, spool, body] as const),
      ),
    ),
  )("continues after %s: .%s, spool: %s", async (_, type, spool, body) => {
    await expect(run(`${body} console.log("went on");`, { type, spool })).resolves.toEqual({
      code: 0,
      output: "went on\n",
    });
  });

  it.concurrent("keeps node --test from cancelling its test", async () => {
    const body = `test("waits", async () => { await log.recordSecurityEvent("authz_fail").stored; });`;
    const { code, output } = await run(body, { flags: ["--test"] });
    expect(output).toMatch(/pass 1\n/);
    expect(code).toBe(0);
  });
});

describe("a script that does not wait", () => {
  it.concurrent.each(["disk", "main thread", "memory"])(
    "ends even if nothing has been shipped, spool: %s",
    async (spool) => {
      const body = `log.recordSecurityEvent("authz_fail"); console.log("went on");`;
      await expect(run(body, { spool, hang: true })).resolves.toEqual({ code: 0, output: "went on\n" });
    },
  );

  it.concurrent("ends after an earlier wait has settled", async () => {
    const body = `await log.recordSecurityEvent("authz_fail").stored; log.recordSecurityEvent("authz_fail"); console.log("went on");`;
    await expect(run(body)).resolves.toEqual({ code: 0, output: "went on\n" });
  });
});
