/**
 * Real scanners against the shop, on 127.0.0.1, each bounded in time and requests: how many rows their requests leave, what those
 * say, and what they cost the shop beside one without capture. `npm run bench -- scanners`, which needs Debian's packages sqlmap,
 * ffuf, gobuster and wapiti; what is missing is skipped aloud. Not part of `npm run bench` without a name.
 */
import { execFile, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { table } from "./report.js";

const child = fileURLToPath(new URL("scanners-child.js", import.meta.url));

/** No tool sends more to one shop, nor runs longer. */
const MOST_REQUESTS = 30_000;
const MOST_SECONDS = 60;

/** The scanners, and how they are called. Nothing but the shop's own address is ever named. */
const TOOLS = {
  gobuster: (url, folder) => ["dir", "-u", url, "-w", `${folder}/words`, "-t", "10", "-q", "--no-error"],
  ffuf: (url, folder) => ["-u", `${url}/FUZZ`, "-w", `${folder}/words`, "-t", "10", "-s", "-maxtime", "50"],
  sqlmap: (url, folder) => [
    ...["-u", `${url}/products/long-talk-teapot*`, "--batch", "--disable-coloring", "--level", "3", "--risk", "2"],
    ...[
      "--retries",
      "0",
      "--timeout",
      "5",
      "--flush-session",
      "--ignore-code",
      "404",
      "--output-dir",
      `${folder}/sqlmap`,
    ],
  ],
  wapiti: (url, folder) => [
    ...["-u", `${url}/`, "--scope", "folder", "--flush-session", "--no-bugreport", "-m", "common", "-d", "3"],
    ...["--store-session", `${folder}/wapiti`, "-f", "json", "-o", `${folder}/report.json`, "--verbose", "0"],
  ],
};

export async function benchScanners() {
  const rows = [];
  const recorded = [];
  for (const [tool, argumentsOf] of Object.entries(TOOLS)) {
    if (spawnSync("which", [tool]).status !== 0) {
      console.log(`\n${tool} was skipped: it is not installed (apt-get install ${tool}).`);
      continue;
    }
    const bare = await scan(tool, argumentsOf, "bare");
    const captured = await scan(tool, argumentsOf, "captured");
    const [before, after] = [bare.micros / bare.requests, captured.micros / captured.requests];
    rows.push([
      tool,
      captured.requests.toLocaleString("en"),
      captured.counted.toLocaleString("en"),
      captured.rows.toLocaleString("en"),
      before.toFixed(0),
      after.toFixed(0),
      `${(after / before).toFixed(2)} ×`,
    ]);
    const kinds = Object.entries(captured.types).sort(([, a], [, b]) => b.events - a.events);
    recorded.push([tool, kinds.map(([type, { rows, events }]) => `${type} ${events} in ${rows}`).join(", ")]);
  }
  console.log(`\nScanners against the shop: at most ${MOST_SECONDS} s and ${MOST_REQUESTS} requests each\n`);
  table(["", "requests", "events", "rows", "bare µs", "captured µs", "ratio"], rows);
  console.log("\nWhat was recorded\n");
  for (const [tool, kinds] of recorded) console.log(`${tool}: ${kinds}`);
}

/** One tool against a new shop. */
async function scan(tool, argumentsOf, mode) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-scanners-"));
  writeFileSync(join(folder, "words"), words().join("\n"));
  const shop = fork(child, [mode, folder, String(MOST_REQUESTS), String(MOST_SECONDS + 20)], {
    env: { ...process.env, NODE_ENV: "test" },
  });
  try {
    const [{ port }] = await once(shop, "message");
    await run(tool, argumentsOf(`http://127.0.0.1:${port}`, folder), folder);
    shop.send("end");
    const [result] = await once(shop, "message");
    return result;
  } finally {
    shop.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs until the tool ends, or its time is over. Its exit code says what it found. */
async function run(tool, list, folder) {
  await new Promise((resolve) => {
    execFile(
      "timeout",
      ["--kill-after=5", String(MOST_SECONDS), tool, ...list],
      { cwd: folder, env: { ...process.env, HOME: folder }, maxBuffer: 1e9 },
      resolve,
    ).stdin?.end();
  });
}

/** A list of paths as scanners use: 5,000 names, some of which exist, and the favourites of every scanner. */
function words() {
  const favourites = [".env", ".git/config", "wp-login.php", "phpinfo.php", "admin", "login", "account", "backup.zip"];
  const stems = ["api", "app", "assets", "config", "data", "db", "files", "images", "old", "private", "static", "test"];
  const ends = ["", ".bak", ".php", ".sql", ".zip", "/index", "-old", "_1"];
  const names = stems.flatMap((stem) =>
    ends.flatMap((end) => Array.from({ length: 52 }, (_, n) => `${stem}${n}${end}`)),
  );
  return [...favourites, ...names];
}
