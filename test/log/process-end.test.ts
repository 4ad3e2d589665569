/** A log in a process of its own: how it copes with the process's exit, its exit listeners and its disk. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { control, lastWords, open, poll, spool, temporaryScript, types } from "../support/log-on-disk.ts";
import { sourcesIn } from "../support/sources.ts";

it("recordSecurityEvent() - writes what the last turn of a process records to disk, and the next process ships it", async () => {
  const script = `
    import { createSecurityLog } from "seclog";
    const log = createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: () => new Promise(() => {}), close: async () => {} }] });
    log.recordSecurityEvent("authz_fail", null, { resource: "last words" });
    process.exit(3);`;
  using file = temporaryScript(script);
  const run = spawnSync(process.execPath, [file.path], { encoding: "utf8", timeout: 60_000 });
  expect([run.status, run.stderr]).toEqual([3, ""]);
  await using log = open();
  await poll(() => types()).toEqual(expect.arrayContaining(["authz_fail", "log_stopped"]));
  await poll(() => sourcesIn(spool)).toEqual([log.sourceId]);
});

it("recordSecurityEvent() - refuses what an exit listener records after the log has ended, since it could not be written", () => {
  const said = lastWords(
    `process.on("exit", () => console.log(log.recordSecurityEvent("authz_fail").id, log.health().dropped));
     process.exit();`,
  );
  expect(said).toContain("null 1");
});

it("createSecurityLog() - does not keep the process alive", () => {
  using file = temporaryScript(
    `import { createSecurityLog } from "seclog";
     createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: async () => {}, close: async () => {} }] }).recordSecurityEvent("authz_fail");`,
  );
  expect(spawnSync(process.execPath, [file.path], { timeout: 20_000 }).status).toBe(0);
});

it("postgresHandler() - loads a module again that could not be read once", () => {
  writeFileSync(control, "");
  // While the file `control` exists, the files of the package pg fail to load as if no descriptor were left.
  const hooks = `
    import { existsSync } from "node:fs";
    export async function load(url, context, next) {
      if (/node_modules.pg.(esm|lib)/.test(url) && existsSync(${JSON.stringify(control)})) throw new Error("EMFILE");
      return await next(url, context);
    }`;
  const preload = `
    import { register } from "node:module";
    register("data:text/javascript,${encodeURIComponent(hooks)}");`;
  using file = temporaryScript(
    `import { createSecurityLog } from "seclog";
     import { postgresHandler } from "seclog/postgres";
     import { rmSync } from "node:fs";
     setTimeout(() => process.exit(1), 50_000);
     createSecurityLog({
       spool: { directory: ${JSON.stringify(spool)} },
       handlers: [postgresHandler({ url: "postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable" })],
       diagnostics({ message }) {
         console.error(message);
         if (message.includes("EMFILE")) rmSync(${JSON.stringify(control)}, { force: true });
         // It got as far as connecting to the database, which does not run.
         if (message.includes("ECONNREFUSED")) process.exit(0);
       },
     }).recordSecurityEvent("authz_fail");`,
  );
  const args = ["--import", `data:text/javascript,${encodeURIComponent(preload)}`, file.path];
  const run = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  expect(run.stderr).toContain("EMFILE");
  expect([run.status, run.stderr]).toEqual([0, expect.stringContaining("ECONNREFUSED")]);
});

it("close() - counts and reports what a full disk refused", () => {
  const said = lastWords(
    `await log.recordSecurityEvent("authz_fail", null, {}).stored;
     // More than the file may grow to, so that none of it is written.
     for (let n = 0; n < 400; n++) log.recordSecurityEvent("authz_fail", null, { n, text: "x".repeat(1_000) });
     await new Promise((resolve) => setTimeout(resolve, 100));
     await log.close({ deadline: 200 });
     const { recorded, dropped } = log.health();
     console.log(\`dropped \${dropped > 100 && dropped < recorded}\`);
     process.exit(0);`,
    "ulimit -f 64",
  );
  expect(said).toContain("dropped true");
  expect(said).toContainEqual(
    expect.stringMatching(
      /^SECLOG_SPOOL_WRITE: \d+ events were not written and are dropped, and \d+ events may not have been stored: /,
    ),
  );
});

it("recordSecurityEvent() - throws for a strict type while the disk refuses, even if memory is full, whatever onFull says", (context) => {
  if (spawnSync("prlimit", ["--version"]).error !== undefined) context.skip("needs prlimit of util-linux");
  using file = temporaryScript(
    `import { execFileSync } from "node:child_process";
     import { createSecurityLog } from "seclog";
     const log = createSecurityLog({
       spool: { directory: ${JSON.stringify(spool)}, memoryBytes: 1048576 },
       handlers: [{ name: "test", handle: async () => {}, close: async () => {} }],
       durability: { authz_admin: "strict" },
       onFull: "drop",
       diagnostics() {},
     });
     const strict = (text) => {
       try {
         return log.recordSecurityEvent("authz_admin", null, { text }).id === null ? "dropped" : "kept";
       } catch ({ code }) {
         return code;
       }
     };
     const seen = [strict("")];
     execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=1:unlimited"]);
     seen.push(strict(""));
     while (log.recordSecurityEvent("authz_fail", null, { text: "x".repeat(8000) }).id !== null) await new Promise(setImmediate);
     seen.push(strict(""));
     execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=unlimited:unlimited"]);
     console.log(seen.join());
     process.exit();`,
  );
  const run = spawnSync(process.execPath, [file.path], { encoding: "utf8", timeout: 20_000 });
  expect([run.stdout.trim(), run.stderr]).toEqual(["kept,SECLOG_SPOOL_WRITE,SECLOG_SPOOL_WRITE", ""]);
});
