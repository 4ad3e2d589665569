/** The contract's application in Next 16: built once for all cases, and served by a server of this process. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { securityCapture } from "seclog/next";
import { refuseUpgrades, serve } from "./shared.js";

export const nextFramework = {
  name: "Next 16",
  open,
  // Next has no setting for proxies.
  log: { clientIp: { trust: ["loopback"] } },
  skip: {
    "a file that the usual upload library refuses":
      "route handlers use no library for uploads: see the 413 of a body that is too large",
    "CSRF, by the usual library":
      "Next compares the origin of Server Actions only, which urlencoded forms are not: test/next.test.ts has one",
    "CORS: an origin that the usual library refuses with an error":
      "a route handler compares the origin itself: see the 403",
  },
};

const root = fileURLToPath(new URL("../../", import.meta.url));

async function open(log, options) {
  globalThis.contractLog = log;
  const handle = await handler();
  const stop = securityCapture(log, options);
  const server = createServer(handle);
  refuseUpgrades(server);
  return await serve(server, stop);
}

/** Next's own handler, one for all cases. */
let prepared;
async function handler() {
  prepared ??= (async () => {
    const app = createRequire(import.meta.url)("next")({ dev: false, dir: await builtNext() });
    await app.prepare();
    return app.getRequestHandler();
  })();
  return await prepared;
}

/** The folder of the application, built once for the process. Its test removes it. */
let built;
export function builtNext() {
  built ??= build();
  return built;
}

async function build() {
  // Only tests come here, and only they can load it.
  const { installPacked } = await import("../support/pack.ts");
  mkdirSync(join(root, "var"), { recursive: true });
  const dir = mkdtempSync(join(root, "var", "next-contract-"));
  cpSync(fileURLToPath(new URL("next", import.meta.url)), dir, { recursive: true });
  // Next bundles what is linked into node_modules from the repository, whatever its configuration says.
  await installPacked("seclog", join(dir, "node_modules"));
  const program = join(root, "node_modules/next/dist/bin/next");
  const { VITEST: _, NODE_ENV: __, ...inherited } = process.env;
  const env = { ...inherited, NEXT_TELEMETRY_DISABLED: "1" };
  const built = spawnSync(process.execPath, [program, "build"], { cwd: dir, env, encoding: "utf8" });
  const { status, stdout, stderr } = built;
  if (status !== 0 || /warning/i.test(stdout + stderr)) throw new Error(`next build:\n${stdout}${stderr}`);
  return dir;
}
