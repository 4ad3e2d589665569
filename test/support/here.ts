/**
 * Runs the built program inside the test's process. A process of its own takes a third of a second to start, and a test
 * that calls ten commands would spend its time on that.
 *
 * The program sees the streams and the environment of its run as the process's own: `process.stdout`, `process.stderr`
 * and `process.env` are looked up by the asynchronous context, so that runs at the same time, and the test around them,
 * do not see each other's.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Writable } from "node:stream";
import type { Environment, Result } from "./program.ts";

const OWN = ["stdout", "stderr", "env"] as const;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What one run sees of the process. */
interface View {
  readonly stdout: Collector;
  readonly stderr: Collector;
  readonly env: Environment;
}

/** Collects what is written, like a pipe that is read at once. */
class Collector extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.#chunks.push(chunk);
    written();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}

const views = new AsyncLocalStorage<View>();
let loaded: Promise<{ readonly run: (args: readonly string[]) => Promise<number | undefined> }> | undefined;

/** Loads the program once for each test file. */
async function load(): Promise<NonNullable<Awaited<typeof loaded>>> {
  for (const name of OWN) {
    const real = Object.getOwnPropertyDescriptor(process, name);
    const value = process[name];
    Object.defineProperty(process, name, {
      ...(real?.enumerable === undefined ? {} : { enumerable: real.enumerable }),
      configurable: true,
      get: () => views.getStore()?.[name] ?? value,
    });
  }
  return await import("../../packages/server/dist/cli/run.js");
}

/** Runs the program with exactly this environment. */
export async function runHere(args: readonly string[], environment: Environment): Promise<Result> {
  loaded ??= load();
  const { run } = await loaded;
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
  const view = { stdout: new Collector(), stderr: new Collector(), env };
  const before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]));
  try {
    const code = await views.run(view, run, args);
    return { code: code ?? 0, stdout: view.stdout.text, stderr: view.stderr.text };
  } finally {
    // The program would catch the signals that end the test run.
    for (const [signal, listeners] of before) {
      for (const added of process.listeners(signal)) {
        if (!listeners.includes(added)) process.removeListener(signal, added);
      }
    }
  }
}
