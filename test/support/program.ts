/** The program `seclog` as it is built, with the URLs of a test's database. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import type { TestDatabase } from "./postgres.ts";

/** How each role reaches a log. */
export type ProgramUrls = Pick<TestDatabase, "serverUrl" | "writerUrl" | "readerUrl" | "sealerUrl">;

const program = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));

export type Environment = { readonly [name: string]: string | undefined };

/** How a run of the program ended, and what it wrote. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of the developer's own settings, and the URLs of all roles unless `environment` says otherwise. */
export function startProgram(
  database: ProgramUrls,
  args: readonly string[],
  environment: Environment = {},
): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    env: {
      PATH: process.env["PATH"],
      SECLOG_ADMIN_URL: database.serverUrl,
      SECLOG_DATABASE_URL: database.writerUrl,
      SECLOG_READER_URL: database.readerUrl,
      SECLOG_SEALER_URL: database.sealerUrl,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs the program to its end. */
export async function runProgram(
  database: ProgramUrls,
  args: readonly string[],
  environment: Environment = {},
): Promise<Result> {
  return await resultOf(startProgram(database, args, environment));
}

/** Waits for the end of a started program. */
export async function resultOf(child: ChildProcess): Promise<Result> {
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: stdout(), stderr: stderr() };
}

/** Collects what a stream says, to be asked at any time. */
export function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/** For tests of which each step starts a program, on a machine that may have more to do. */
export const LONG = { timeout: 180_000 } as const;

/** The program on a test file's database. What still runs when a test ends is killed. */
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
  return { startProgram: start, seclog: async (args, environment) => await resultOf(start(args, environment)) };
}

/** Waits as long as it takes; says what for when that is most of the test's time. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + LONG.timeout * 0.8;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(20);
  }
}

/** The objects of lines of JSON. */
export function ndjson(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
