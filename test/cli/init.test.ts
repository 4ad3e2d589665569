import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "#faults/engines/process.js";
import { runHere } from "../support/here.ts";

const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));

let folder: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-init-"));
});
afterEach(() => {
  child?.kill("SIGKILL");
  child = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function project(manifest: object): void {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "@acme/shop", ...manifest }));
}

const file = (name: string): string => readFileSync(join(folder, name), "utf8");

interface Started {
  readonly framework: string;
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly steps: readonly { readonly title: string; readonly code: string }[];
}

async function started(...args: string[]): Promise<Started> {
  const { code, stdout, stderr } = await runHere(["init", folder, "--json", ...args], {});
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as Started;
}

/** A small application of each framework around the lines that the starter gives. */
const APPLICATIONS: Readonly<Record<string, { dependency: string; before: string; after: string }>> = {
  express: {
    dependency: "express",
    before: 'import express from "express";\nconst app = express();',
    after: "app.listen(PORT, '127.0.0.1');",
  },
  fastify: {
    dependency: "fastify",
    before: 'import Fastify from "fastify";\nconst app = Fastify();',
    after: "await app.listen({ port: PORT, host: '127.0.0.1' });",
  },
  koa: {
    dependency: "koa",
    before: 'import Koa from "koa";\nconst app = new Koa();',
    after: "app.listen(PORT, '127.0.0.1');",
  },
  hono: {
    dependency: "hono",
    before:
      'import { serve as served } from "@hono/node-server";\nimport { Hono } from "hono";\nconst app = new Hono();\nconst serve = ({ fetch }) => served({ fetch, port: PORT, hostname: "127.0.0.1" });',
    after: "",
  },
  node: {
    dependency: "anything",
    before: 'import { createServer } from "node:http";\nconst listener = (_req, res) => res.end("hello");',
    after: "server.listen(PORT, '127.0.0.1');",
  },
};

describe("seclog init", () => {
  it.each(Object.keys(APPLICATIONS))("gives lines that record the first event: %s", async (framework) => {
    const { dependency, before, after } = APPLICATIONS[framework] as (typeof APPLICATIONS)[string];
    project({ type: "module", dependencies: { [dependency]: "*" } });
    const starter = await started();
    expect(starter.framework).toBe(framework);
    const lines = starter.steps.find(({ title }) => title.startsWith("Add these lines"))?.code ?? "";
    const [imports = "", code = ""] = lines.split("\n\n");
    const port = await freePort();
    writeFileSync(
      join(folder, "server.js"),
      `${imports}\n${before}\n${code}\n${after}`.replaceAll("PORT", String(port)),
    );
    symlinkSync(modules, join(folder, "node_modules"));
    const { SECLOG_DATABASE_URL: _url, NODE_ENV: _environment, ...env } = process.env;
    child = spawn(process.execPath, ["server.js"], { cwd: folder, env });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => (output += text));
    await expect
      .poll(
        async () => {
          const sent = fetch(`http://127.0.0.1:${port}/`, { headers: { "user-agent": "sqlmap/1.9" } });
          await sent.then((answer) => answer.text()).catch(() => {});
          return output;
        },
        { interval: 100 },
      )
      .toMatch(/malicious_attack_tool/);
  });

  it("finds the framework, the language, the folder and the package manager", async () => {
    project({
      dependencies: { "@nestjs/core": "12", express: "5", seclog: "1" },
      devDependencies: { typescript: "5" },
    });
    mkdirSync(join(folder, "src"));
    expect(await started()).toMatchObject({
      framework: "nestjs",
      files: [{ path: "src/security.ts", text: expect.stringContaining('service: "shop"') }],
      steps: [{ code: expect.stringContaining("SeclogModule.forRoot({ log: security })") }, {}, {}, {}, {}],
    });
    expect(file("src/security.ts")).toContain('import { createSecurityLog } from "seclog";');

    rmSync(join(folder, "src"), { recursive: true });
    project({});
    writeFileSync(join(folder, "pnpm-lock.yaml"), "");
    const { framework, steps } = await started();
    expect([framework, steps[0]?.code]).toEqual(["node", "pnpm add seclog"]);
    expect(file("security.js")).toContain('= require("seclog");');
  });

  it("adds to an instrumentation file of Next.js that is there, instead of writing one", async () => {
    project({ dependencies: { next: "16" }, devDependencies: { typescript: "5" } });
    expect((await started("--print")).files.map(({ path }) => path)).toEqual(["security-log.ts", "instrumentation.ts"]);
    writeFileSync(join(folder, "instrumentation.ts"), "// telemetry");
    const { files, steps } = await started();
    expect(files.map(({ path }) => path)).toEqual(["security-log.ts"]);
    expect(steps.map(({ title }) => title)).toContain("Add these lines to instrumentation.ts:");
    expect(file("instrumentation.ts")).toBe("// telemetry");
  });

  it("replaces nothing, and says what is wrong with the folder or the option", async () => {
    const failing = async (...args: string[]) => {
      const { code, stderr } = await runHere(["init", folder, ...args], {});
      return [code, stderr];
    };
    expect(await failing()).toEqual([2, expect.stringMatching(/package.json" is not there: .* \[SECLOG_CONFIG\]/)]);
    writeFileSync(join(folder, "package.json"), "{");
    expect(await failing()).toEqual([2, expect.stringMatching(/package.json" cannot be read: /)]);
    project({ type: "module" });
    writeFileSync(join(folder, "security.js"), "mine");
    expect(await failing()).toEqual([2, expect.stringMatching(/"security.js" is there already/)]);
    expect(file("security.js")).toBe("mine");
    expect(await failing("--framework", "fast")).toEqual([2, expect.stringMatching(/did you mean fastify\?/)]);
  });

  it("prints lines that fit a terminal", async () => {
    project({ dependencies: { hono: "4" } });
    const { stdout } = await runHere(["init", folder], {});
    const long = stdout.split("\n").filter((line) => line.length > 80 && !line.startsWith("   "));
    expect(long).toEqual([]);
    expect(stdout).toContain("Wrote security.js\n");
  });
});
