/** `seclog`: the program that operates a security event log. Started by `bin/seclog.js`. */
import { run } from "./run.ts";

// The caller that awaits a write sees its failure; without a listener the failure would also end the process.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
const exitCode = await run(process.argv.slice(2));
// At once: an abandoned query must not keep the process running.
if (exitCode !== undefined) process.exit(exitCode);
