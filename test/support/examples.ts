/** What every example does, whatever its framework: the same requests, and the lines that it prints for them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { root } from "../../scripts/files.js";
import { type Sent, send } from "./http-client.ts";
import { steadyPort } from "./port.js";

/** Links the dependencies of an example from the repository into a `node_modules` that has the packed library. */
export function linkDependencies(example: string, modules: string): void {
  const manifest = readFileSync(join(root, "examples", example, "package.json"), "utf8");
  const { dependencies } = JSON.parse(manifest) as { readonly dependencies: { readonly [name: string]: string } };
  for (const name of Object.keys(dependencies)) {
    const path = join(modules, name);
    mkdirSync(dirname(path), { recursive: true });
    try {
      symlinkSync(join(root, "node_modules", name), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** A running example. */
interface Started {
  readonly port: number;
  readonly server: ChildProcess;
  readonly printed: () => string;
}

/** Starts an example in its folder, without a database, and waits until it has printed `ready`. */
async function start(folder: string, args: (port: number) => readonly string[], ready: string): Promise<Started> {
  const port = await steadyPort();
  const { NODE_ENV: _, VITEST: __, SECLOG_DATABASE_URL: ___, ...env } = process.env;
  const server = spawn(process.execPath, args(port), {
    cwd: folder,
    env: { ...env, PORT: String(port) } as NodeJS.ProcessEnv,
  });
  onTestFinished(() => void server.kill("SIGKILL"));
  let output = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream?.on("data", (part) => {
      output += part;
    });
  }
  const printed = (): string => output;
  await expect.poll(printed).toContain(ready);
  await expect.poll(printed).toContain("log_started");
  return { port, server, printed };
}

const PROXY = { "x-forwarded-for": "203.0.113.9" };
const login = (password: string): Sent => ({
  headers: { ...PROXY, "content-type": "application/json" },
  body: JSON.stringify({ name: "ada", password }),
});
const as = (user: string): Sent => ({ headers: { ...PROXY, "x-user": user } });

/** Runs an example, sends what its readers would, and compares what it prints until it has ended. */
export async function tellStory(
  folder: string,
  args: (port: number) => readonly string[],
  ready: string,
): Promise<void> {
  const { port, server, printed } = await start(folder, args, ready);
  const statuses = [
    await send(port, "POST", "/login", login("wrong")),
    await send(port, "POST", "/login", login("correct horse")),
    await send(port, "GET", "/orders/ada", { headers: PROXY }),
    await send(port, "GET", "/orders/ada", as("ada")),
    await send(port, "GET", "/orders/bob", as("ada")),
    await send(port, "PATCH", "/orders/ada", as("ada")),
    await send(port, "DELETE", "/users/7", as("ada")),
    await send(port, "DELETE", "/users/7", as("root")),
  ].map(({ status }) => status);
  expect([404, 405]).toContain(statuses[5]);
  expect(statuses.toSpliced(5, 1), printed()).toEqual([401, 204, 401, 200, 404, 403, 204]);
  await expect.poll(printed).toContain("user_deleted");
  server.kill("SIGTERM");
  await once(server, "exit");
  const lines = printed()
    .split("\n")
    .filter((line) => /^\d{4}-\d\d-\d\dT/.test(line) && !line.includes(" log_"))
    .map((line) => line.replace(/^\S+ /, "").replace(/ service=.*/, ""));
  expect(lines).toEqual([
    "WARNING  authn_login_fail POST /login 203.0.113.9 actor=ada",
    "INFO     authn_login_success POST /login 203.0.113.9 actor=ada",
    "WARNING  unauthenticated_request GET /orders/ada 401 203.0.113.9",
    "CRITICAL authz_fail GET /orders/bob 203.0.113.9 actor=ada",
    // Some refuse it before authentication runs, and know the actor only if they do not.
    expect.stringMatching(
      /^WARNING {2}illegal_request_method PATCH \/orders\/ada 40[45] 203\.0\.113\.9 allowed=(?:GET|"GET, HEAD"|"HEAD, GET")(?: actor=ada)?$/,
    ),
    "CRITICAL authz_fail DELETE /users/7 403 203.0.113.9 actor=ada",
    "WARNING  user_deleted DELETE /users/7 203.0.113.9 actor=root",
  ]);
}
