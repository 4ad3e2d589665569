/**
 * What the program's exit codes mean. An answer and a failure never share one: a script that asks whether a log is
 * intact must not read a full disk as tampering, or a closed pipe as proof. `seclog-verify` has the same codes.
 */
import { type ErrorCode, SeclogError } from "seclog";
import { notice, OutputClosed, OutputFailed } from "../terminal/print.ts";

/** 0: done, and nothing is wrong. 1: done, and the answer is no. 2: wrong input. 3: not finished, so there is no answer. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Ends the program with this exit code. */
export class Exit extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** Errors that are an answer: the command did its work and found that something does not hold or must not happen. */
const ANSWERS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "SECLOG_PROOF",
  "SECLOG_TREE",
  "SECLOG_ROLLBACK",
  "SECLOG_REMOVAL",
  "SECLOG_EVENT_REJECTED",
]);

/** Errors that only other arguments, another environment, key or folder can fix. */
const WRONG_INPUT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "SECLOG_CONFIG",
  "SECLOG_QUERY",
  "SECLOG_KEY",
  "SECLOG_SPOOL_DIRECTORY",
]);

/** The exit code of an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof SeclogError)) return 3;
  if (ANSWERS.has(error.code)) return 1;
  return WRONG_INPUT.has(error.code) ? 2 : 3;
}

/**
 * Prints what a command found. `failure` stands before the first line is printed, so that an output that is closed or
 * full cannot turn a bad answer into a good one.
 *
 * @throws `failure`, if there is one; else what `show` throws
 */
export async function conclude(failure: unknown, show: () => Promise<void>): Promise<void> {
  try {
    await show();
  } catch (error) {
    const isOutput = error instanceof OutputClosed || error instanceof OutputFailed;
    if (failure === undefined || !isOutput) throw error;
    if (error instanceof OutputFailed) notice(`seclog: ${error.message}`);
  }
  if (failure !== undefined) throw failure;
}
