import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { steadyPort } from "./support/port.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(repository, "README.md"), "utf8");

let folder: string;
let database: TestDatabase;
let application: ChildProcess | undefined;
let base: string;

beforeAll(async () => {
  // Inside the repository, so that the code finds the packages as an application would.
  mkdirSync(join(repository, "var"), { recursive: true, mode: 0o700 });
  folder = mkdtempSync(join(repository, "var", "readme-"));
  database = await createTestDatabase();
}, 60_000);

afterAll(async () => {
  application?.kill("SIGKILL");
  await database?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe("README.md", { timeout: 180_000 }, () => {
  it("marks every block of TypeScript for this test", () => {
    expect(blocks(readme, "ts")).toHaveLength([...readme.matchAll(/^```ts$/gm)].length);
    expect(blocks(readme, "ts").length).toBeGreaterThan(1);
  });

  it("wires Express in twelve lines", () => {
    const lines =
      blocks(readme, "ts")[0]
        ?.split("\n")
        .filter((line) => line.trim() !== "") ?? [];
    expect(lines.length).toBeLessThanOrEqual(12);
  });

  it("has code that compiles, as does the library's README", async () => {
    writeFileSync(join(folder, "server.ts"), blocks(readme, "ts").join("\n"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const library = readFileSync(join(repository, "packages/seclog/README.md"), "utf8");
    for (const [i, match] of [...library.matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
      writeFileSync(join(folder, `library-${i}.ts`), match[1] ?? "");
    }
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../tsconfig.base.json",
        compilerOptions: {
          composite: false,
          isolatedDeclarations: false,
          declaration: false,
          noUnusedLocals: false,
          outDir: "dist",
        },
        include: ["*.ts"],
      }),
    );
    await run(join(repository, "node_modules", ".bin", "tsc"), ["-p", folder]);
  });

  it("has code that runs and records the events it promises", async () => {
    const port = await steadyPort();
    base = `http://127.0.0.1:${port}`;
    application = spawn(process.execPath, [join(folder, "dist", "server.js")], {
      cwd: folder,
      env: { ...process.env, PORT: String(port), SECLOG_DATABASE_URL: database.writerUrl },
      stdio: ["ignore", "inherit", "inherit"],
    });
    await answers(`${base}/`);

    expect((await fetch(`${base}/login`, { method: "DELETE" })).status).toBe(404);
    const login = { method: "POST", headers: { "content-type": "application/json" }, body: '{"name":"mallory"}' };
    expect((await fetch(`${base}/login`, login)).status).toBe(401);
    expect((await fetch(`${base}/login`, { ...login, body: "{" })).status).toBe(400);
    expect((await fetch(`${base}/users/7`, { method: "DELETE" })).status).toBe(204);

    const ended = new Promise((done) => application?.once("exit", done));
    application.kill("SIGTERM");
    expect(await ended).toBe(0);

    const rows = await database.query(
      `SELECT event_type, actor_id, status_code, path FROM security_event_log WHERE category <> 'log'
        -- A refusal is recorded a moment after its response, perhaps after the next request.
        ORDER BY event_type`,
    );
    expect(rows).toEqual([
      expect.objectContaining({ event_type: "authn_login_fail", actor_id: "mallory", path: "/login" }),
      { event_type: "illegal_request_method", actor_id: null, status_code: 404, path: "/login" },
      { event_type: "input_validation_fail", actor_id: null, status_code: 400, path: "/login" },
      expect.objectContaining({ event_type: "user_deleted", actor_id: "root", path: "/users/7" }),
    ]);
  });

  it("has SQL that the reader role may run", async () => {
    const client = new pg.Client({ connectionString: database.readerUrl });
    await client.connect();
    try {
      const counts: number[] = [];
      for (const sql of blocks(readme, "sql")) counts.push((await client.query(sql)).rows.length);
      expect(counts).toEqual([1]);
    } finally {
      await client.end();
    }
  });

  it("has links to files that exist", () => {
    for (const file of ["README.md", "packages/seclog/README.md"]) {
      const text = readFileSync(join(repository, file), "utf8");
      const targets = [...text.matchAll(/\]\(([^)#]+)/g)].map((match) => match[1] ?? "");
      const local = targets.filter((target) => !/^https?:/.test(target));
      expect(local.filter((target) => !existsSync(join(repository, dirname(file), target)))).toEqual([]);
    }
  });
});

/** The blocks of code in one language. Those in TypeScript must be marked with the file that they belong to. */
function blocks(text: string, language: "ts" | "sql"): readonly string[] {
  const mark = language === "ts" ? "<!-- test: server\\.ts -->\\n" : "";
  return [...text.matchAll(new RegExp(`^${mark}\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    (match) => match[1] ?? "",
  );
}

async function run(command: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(command, args, { cwd: folder }).catch((error: { readonly stdout?: string }) => {
    throw new Error(error.stdout || String(error));
  });
}

async function answers(url: string): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (Date.now() < deadline) {
    if (application?.exitCode !== null) throw new Error(`the application exited with ${application?.exitCode}`);
    const open = await fetch(url).then(
      () => true,
      () => false,
    );
    if (open) return;
    await sleep(25);
  }
  throw new Error(`${url} does not answer`);
}
