/** `seclog-demo`: shows the log at work. Started by `bin/seclog-demo.js`. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runDemo } from "./run-demo.ts";

const HELP = `Usage: seclog-demo [--once]

Starts a PostgreSQL of its own, a sample shop and its security log on this
machine, does to the shop what happens to shops, and prints the events as they
arrive in the database.

Options:
  --once      end when every expected event is stored
  --version   print the version
  -h, --help  print this

Environment:
  PORT             where the shop listens on 127.0.0.1 (default: 3000)
  SECLOG_DATA_DIR  the folder of everything that it keeps (default: var)
`;

/** Runs the command line and resolves to the exit code; 2 for an unknown argument. */
async function main(args: readonly string[]): Promise<number> {
  let options: { readonly once?: boolean; readonly help?: boolean; readonly version?: boolean };
  try {
    options = parseArgs({
      args: [...args],
      options: { once: { type: "boolean" }, version: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    }).values;
  } catch (error) {
    process.stderr.write(`seclog-demo: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options.help) process.stdout.write(HELP);
  else if (options.version) process.stdout.write(`${version()}\n`);
  else return await runDemo({ once: options.once === true });
  return 0;
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

// A failed write rejects where it is awaited; without a listener it would also end the process.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
process.exitCode = await main(process.argv.slice(2));
