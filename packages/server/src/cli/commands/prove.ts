import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { Session } from "../../database/session.ts";
import { checkEventId, proveEvent } from "../../integrity/prove.ts";
import { notice, print } from "../../terminal/print.ts";

interface ProveCommandOptions {
  readonly out?: string;
  readonly redact?: true;
}

/** `seclog prove`. */
export function addProve(command: Command): void {
  command
    .option("--out <file>", "the file to write (default: standard output)")
    .option("--redact", "leave out the personal part: who, from where, and the event's data")
    .action(prove);
}

async function prove(id: string, options: ProveCommandOptions): Promise<void> {
  const event = checkEventId(id);
  const url = requireUrl("reader");
  let session: Session | undefined;
  try {
    session = await Session.open({ role: "reader", url, purpose: "seclog prove", access: "READ ONLY" });
    const proof = await proveEvent(session, event, { redact: options.redact === true });
    if (options.out === undefined) await print(proof);
    else {
      writeFileSync(options.out, proof);
      notice(`wrote ${options.out}; check it with: ${commandLine(`verify-proof ${options.out} --vkey KEY`)}`);
    }
  } catch (error) {
    throw databaseError(error, "reader");
  } finally {
    await session?.end();
  }
}
