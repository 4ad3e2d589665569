/** `seclog-demo`: shows the log at work. Started by `bin/seclog-demo.js`. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { DEMO_QUEUES } from "./demo-queue.ts";
import { runDemo } from "./run-demo.ts";

const HELP = `Usage: seclog-demo [--once] [--queue redis|nats]

Starts a PostgreSQL of its own, a sample shop and its security log on this
machine, sends the shop ordinary and hostile requests, and prints the events as
they arrive in the database.

Options:
  --once      end when every expected event is stored
  --queue     send the events through redis-server or nats-server, if this
              machine has it, and let two workers store them
  --version   print the version
  -h, --help  print this

Environment:
  PORT             where the shop listens on 127.0.0.1 (default: 3000)
  SECLOG_DATA_DIR  the folder of everything that it keeps (default: var)
`;

/** Runs the command line and resolves to the exit code; 2 for an unknown argument, 3 if the output cannot be written. */
async function main(args: readonly string[]): Promise<number> {
  let options: {
    readonly once?: boolean;
    readonly queue?: string;
    readonly help?: boolean;
    readonly version?: boolean;
  };
  try {
    options = parseArgs({
      args: [...args],
      options: {
        once: { type: "boolean" },
        queue: { type: "string" },
        version: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`seclog-demo: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options.help) return await print(HELP);
  if (options.version) return await print(`${version()}\n`);
  const queue = DEMO_QUEUES.find((name) => name === options.queue);
  if (options.queue !== undefined && queue === undefined) {
    process.stderr.write(`seclog-demo: --queue ${JSON.stringify(options.queue)} is neither redis nor nats\n\n${HELP}`);
    return 2;
  }
  return await runDemo({ once: options.once === true, ...(queue === undefined ? {} : { queue }) });
}

/** Resolves to the exit code: a reader that closes the output has read enough. */
async function print(text: string): Promise<number> {
  const error = await new Promise<NodeJS.ErrnoException | null | undefined>((written) => {
    process.stdout.write(text, written);
  });
  if (!error || error.code === "EPIPE") return 0;
  process.stderr.write(`seclog-demo: standard output cannot be written: ${error.message}\n`);
  return 3;
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

// A failed write rejects where it is awaited; without a listener it would also end the process.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
process.exitCode = await main(process.argv.slice(2));
