import type { Command } from "commander";
import { SeclogError } from "seclog";
import type { DrainResult } from "seclog/spool";
import { requireUrl } from "../../config/environment.ts";
import { shipSpool } from "../../spool/ship-spool.ts";
import { interruption } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { bytesText, counted } from "../../text/words.ts";
import { conclude } from "../exit.ts";

interface ShipOptions {
  readonly spool: string;
  readonly name: string;
  readonly json?: true;
}

/** `seclog ship`. */
export function addShip(command: Command): void {
  command
    .requiredOption("--spool <directory>", "the application's spool.directory")
    .option("--name <handler>", "the name of the application's PostgreSQL handler", "postgres")
    .option("--json", "one JSON document")
    .action(ship);
}

async function ship(options: ShipOptions): Promise<void> {
  const signal = interruption();
  const url = requireUrl("writer");
  const progress = new Progress();
  let lastFailure = "";
  let result: DrainResult;
  try {
    result = await shipSpool({
      directory: options.spool,
      url,
      name: options.name,
      signal,
      onBegin: (bytes) => progress.show(`${bytesText(bytes)} to ship`),
      onProgress: ({ shipped, finished, sources: found }) =>
        progress.show(`${counted(shipped, "event")} shipped, ${finished} of ${counted(found, "source")} done`),
      onFailure: ({ message, kind }) => {
        if (kind !== "retry" || message === lastFailure) return;
        lastFailure = message;
        progress.clear();
        notice(`seclog: ${message}; retrying, Ctrl-C gives up`);
      },
    });
  } finally {
    progress.clear();
  }
  const text = options.json ? jsonLine({ ...result, complete: !signal.aborted }) : summary(result);
  const rejected =
    result.quarantined === 0
      ? undefined
      : new SeclogError(
          "SECLOG_EVENT_REJECTED",
          `${counted(result.quarantined, "event")} could not be stored and are in security_event_quarantine: see the reasons there`,
        );
  await conclude(signal.aborted ? signal.reason : rejected, () => print(text));
}

function summary({ shipped, sources, finished, owned, waiting }: DrainResult): string {
  const left = sources - finished;
  const lines: string[] = [];
  if (sources === 0) lines.push("Nothing to ship.");
  else if (shipped > 0 || waiting.length === 0) {
    lines.push(`${counted(shipped, "event")} shipped from ${counted(finished, "source")} left behind.`);
  }
  if (left > 0) lines.push(`${counted(left, "source")} not finished: run ship again.`);
  if (waiting.length > 0) {
    lines.push(
      `Kept for the application's other handlers: ${waiting.join(", ")}. The application ships to them when it runs.`,
    );
  }
  if (owned > 0) lines.push(`${counted(owned, "source")} of running processes left alone: they ship their own events.`);
  return `${lines.join("\n")}\n`;
}
