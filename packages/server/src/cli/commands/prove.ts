import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { proveEvent } from "../../integrity/prove.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";

interface ProveCommandOptions {
  readonly out?: string;
  readonly redact?: true;
  readonly json?: true;
}

/** `seclog prove`. */
export function addProve(command: Command): void {
  command
    .option("--out <file>", "the file to write (default: standard output)")
    .option("--redact", "leave out the personal part: who, from where, and the event's data")
    .option("--json", "one JSON document, which has the proof as a text")
    .action(prove);
}

async function prove(id: string, { out, redact, json }: ProveCommandOptions): Promise<void> {
  const proven = await proveEvent({ url: requireUrl("reader"), id, redact: redact === true });
  if (out !== undefined) writeFileSync(out, proven.proof);
  if (json) return await print(jsonLine({ ...proven, file: out ?? null }));
  if (out === undefined) return await print(proven.proof);
  notice(`wrote ${out}; check it with: ${commandLine(`verify-proof ${out} --vkey KEY`)}`);
}
