import type { Command } from "commander";
import { errorMessage, SeclogError, visibleText } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import type { SealedStep } from "../../integrity/seal/sealer.ts";
import { NoSealerState, type SealerState, SealerStateFile } from "../../integrity/seal/state.ts";
import { sealAndPublish } from "../../integrity/seal-and-publish.ts";
import { type KeyOptions, signingKey } from "../../keys/signing-key.ts";
import { interruption } from "../../terminal/interruption.ts";
import { jsonLine, notice, print, printIfRead } from "../../terminal/print.ts";
import { Progress } from "../../terminal/progress.ts";
import { styled } from "../../terminal/style.ts";
import { counted, quoted } from "../../text/words.ts";
import { addKeyOptions } from "../options/key.ts";
import { addPublishOptions, type PublishOptions, publishersOf } from "../options/publish.ts";

interface SealCommandOptions extends KeyOptions, PublishOptions {
  readonly once?: true;
  readonly interval: string;
  readonly state?: string;
  readonly json?: true;
}

/** How often a sealer without a terminal reports its progress. */
const REPORT_MS = 60_000;

/** `seclog seal`. */
export function addSeal(command: Command): void {
  command.option("--once", "seal what is stored now, then exit");
  addPublishOptions(addKeyOptions(command))
    .option("--interval <seconds>", "how long to wait once everything is sealed", "0.5")
    .option("--state <file>", "where to remember the last signed checkpoint (default: KEY.sealed beside --key)")
    .option("--json", "one JSON line per checkpoint")
    .action(seal);
}

async function seal(options: SealCommandOptions): Promise<void> {
  const interval = Number(options.interval);
  if (!/^\d+(\.\d+)?$/.test(options.interval) || interval < 0.01 || interval > 3600) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--interval ${quoted(options.interval)} is not a number of seconds from 0.01 to 3600`,
    );
  }
  const url = requireUrl("sealer");
  const signer = await signingKey(options);
  const state = sealerState(options);
  const places = publishersOf(options);
  const once = options.once === true;
  // `--once` seals all, whether or not the list of checkpoints is read.
  const signal = interruption(once);
  const report = new SealReport(options.json === true);
  if (options.json !== true) {
    notice(`sealing ${signer.name} with the key ${signer.vkey}`);
    if (state instanceof NoSealerState) {
      notice(
        `${styled("warning:", "yellow", process.stderr)} without --state FILE, a rollback of the database while the sealer is down goes unnoticed`,
      );
    }
  }
  try {
    await sealAndPublish({
      ...places,
      url,
      signer,
      state,
      intervalMs: interval * 1000,
      once,
      signal,
      onSealed: async (step, age) => {
        report.sealed(step);
        if (options.json) {
          const { size, root } = step.checkpoint;
          await (once ? printIfRead : print)(
            jsonLine({
              size,
              root: Buffer.from(root).toString("base64"),
              leaves: step.leaves,
              missing: step.missing,
              doubled: step.doubled,
              empty: step.empty,
              oldest_unsealed_seconds: Number((await age()).toFixed(3)),
              checkpoint: step.checkpoint.note,
            }),
          );
        } else await report.show(age);
      },
      onTurn: (sealing) =>
        notice(sealing ? "this process is the sealer now" : "another sealer is running; waiting to take over"),
      onTrouble: (error) => report.trouble(error),
      onNotPublished: (error) => report.notPublished(error.message),
      onNotCounted: (error) => report.notCounted(errorMessage(error)),
    });
  } finally {
    report.end();
  }
  if (options.json !== true) await print(report.summary());
}

function sealerState({ key, state }: SealCommandOptions): SealerState {
  const path = state ?? (key === undefined ? undefined : `${key}.sealed`);
  return path === undefined ? new NoSealerState() : new SealerStateFile(path);
}

function warn(what: string): void {
  notice(`${styled("warning:", "yellow", process.stderr)} ${what}: run ${commandLine("verify")}`);
}

/** Progress for people: one line that is overwritten on a terminal, one line a minute elsewhere. */
class SealReport {
  readonly #quiet: boolean;
  readonly #progress = new Progress();
  #size = 0;
  #leaves = 0;
  #reported = performance.now();
  #troubled = "";
  #uncounted = "";
  #missing = 0;
  #doubled = 0;
  #empty = 0;
  #warned = Number.NEGATIVE_INFINITY;

  constructor(quiet: boolean) {
    this.#quiet = quiet;
  }

  sealed({ checkpoint, leaves, missing, doubled, empty }: SealedStep): void {
    this.#size = checkpoint.size;
    this.#leaves += leaves;
    if (this.#troubled !== "") notice("sealing again");
    this.#troubled = "";
    this.#missing += missing;
    this.#doubled += doubled;
    this.#empty = empty;
    // A hostile source can cause any number of either: report them once a minute.
    if (this.#missing + this.#doubled === 0 || performance.now() - this.#warned < REPORT_MS) return;
    this.#warned = performance.now();
    this.#progress.clear();
    if (this.#missing > 0) warn(`${counted(this.#missing, "number")} had no event when sealed${this.#waiting()}`);
    if (this.#doubled > 0) warn(`${counted(this.#doubled, "number")} had several events, of which one was sealed`);
    this.#missing = 0;
    this.#doubled = 0;
  }

  #waiting(): string {
    return this.#empty === 0 ? "" : `, and ${this.#empty.toLocaleString("en")} more are still waiting for one`;
  }

  async show(age: () => Promise<number>): Promise<void> {
    const terminal = process.stderr.isTTY === true;
    if (!terminal && performance.now() - this.#reported < REPORT_MS) return;
    if (terminal && performance.now() - this.#reported < 250) return;
    this.#reported = performance.now();
    const line = `${counted(this.#size, "leaf", "leaves")} sealed, the oldest unsealed event is ${(await age()).toFixed(1)} s old`;
    if (terminal) this.#progress.show(line);
    else notice(line);
  }

  trouble(error: unknown): void {
    const message = errorMessage(error);
    this.#progress.clear();
    if (message !== this.#troubled && !this.#quiet)
      notice(`${styled("not sealing:", "red", process.stderr)} ${message}`);
    this.#troubled = message;
  }

  notPublished(message: string): void {
    this.#progress.clear();
    notice(`${styled("not published:", "red", process.stderr)} ${visibleText(message)}`);
  }

  notCounted(message: string): void {
    if (message === this.#uncounted) return;
    this.#uncounted = message;
    this.#progress.clear();
    notice(`${styled("not counting:", "red", process.stderr)} ${visibleText(message)}`);
  }

  end(): void {
    this.#progress.clear();
  }

  summary(): string {
    if (this.#leaves === 0) return "Nothing to seal.\n";
    return `Sealed ${counted(this.#leaves, "leaf", "leaves")}; the tree has ${this.#size.toLocaleString("en")}.\n`;
  }
}
