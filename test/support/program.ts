/** The built program `seclog`, with the URLs of a test's database: as a process, or in this one, which takes a tenth of the time. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import { runHere } from "./here.ts";
import type { TestDatabase } from "./postgres.ts";

/** Each role's URL of a log. */
export type ProgramUrls = Pick<TestDatabase, "serverUrl" | "writerUrl" | "readerUrl" | "sealerUrl">;

const program = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));

export type Environment = { readonly [name: string]: string | undefined };

/** A run's exit code and output. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without the developer's own settings, and with the URLs of all roles unless `environment` says otherwise. */
function environmentOf(database: ProgramUrls, environment: Environment): Environment {
  return {
    PATH: process.env["PATH"],
    SECLOG_ADMIN_URL: database.serverUrl,
    SECLOG_DATABASE_URL: database.writerUrl,
    SECLOG_READER_URL: database.readerUrl,
    SECLOG_SEALER_URL: database.sealerUrl,
    ...environment,
  };
}

/** Starts the program as a process: for what needs signals, a closed output or its own end. */
export function startProgram(
  database: ProgramUrls,
  args: readonly string[],
  environment: Environment = {},
): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    env: environmentOf(database, environment),
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs the program to its end, in this process (`test/cli/process.test.ts` compares the two). */
export async function runProgram(
  database: ProgramUrls,
  args: readonly string[],
  environment: Environment = {},
): Promise<Result> {
  return await runHere(args, environmentOf(database, environment));
}

/** Waits for the end of a started program. */
export async function resultOf(child: ChildProcess): Promise<Result> {
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: stdout(), stderr: stderr() };
}

/** Collects a stream's output, to be read at any time. */
export function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/** For tests that start a program in each step, on a machine that may be busy. */
export const LONG = { timeout: 180_000 } as const;

/** The program on a test file's database: run here, or started as a process, which is killed if the test ends before it. */
export function programOf(database: () => ProgramUrls): {
  readonly seclog: (args: readonly string[], environment?: Environment) => Promise<Result>;
  readonly startProgram: (args: readonly string[], environment?: Environment) => ChildProcess;
} {
  const running: ChildProcess[] = [];
  afterEach(() => {
    for (const child of running.splice(0)) child.kill("SIGKILL");
  });
  const start = (args: readonly string[], environment: Environment = {}): ChildProcess => {
    const child = startProgram(database(), args, environment);
    running.push(child);
    return child;
  };
  return {
    startProgram: start,
    seclog: async (args, environment) => await runProgram(database(), args, environment),
  };
}

/** Waits for a condition, and names it in the error when that takes most of the test's time. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + LONG.timeout * 0.8;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await sleep(20);
  }
}

/** Parses lines of JSON objects. */
export function ndjson(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
