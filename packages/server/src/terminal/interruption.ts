import { isGone, OutputClosed } from "./print.ts";

/** 128 + the signal's number, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Somebody asked the program to end. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: keyof typeof EXIT_CODES) {
    super(`interrupted by ${signal}`);
    this.exitCode = EXIT_CODES[signal];
  }
}

/**
 * A second signal within this time is the same press of Ctrl-C: the terminal sends it to the whole process group, and
 * npm and npx hand theirs on to us as well.
 */
const SAME_PRESS_MS = 500;

let stopping: AbortController | undefined;

/**
 * Aborts when somebody presses Ctrl-C, asks the program to end, or stops reading what it prints. A second Ctrl-C
 * ends it at once. From the first call on, which a command makes that has something to put in order.
 */
export function interruption(): AbortSignal {
  if (stopping !== undefined) return stopping.signal;
  const controller = new AbortController();
  stopping = controller;
  let since = 0;
  for (const signal of Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]) {
    process.on(signal, () => {
      if (controller.signal.aborted && performance.now() - since > SAME_PRESS_MS) process.exit(EXIT_CODES[signal]);
      if (!controller.signal.aborted) since = performance.now();
      controller.abort(new Interrupted(signal));
    });
  }
  process.stdout.on("error", (error) => controller.abort(isGone(error) ? new OutputClosed() : error));
  return controller.signal;
}

/** Resolves to the work's result, or rejects with the reason as soon as `signal` aborts. */
export async function unlessInterrupted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, failed) => {
    abort = () => failed(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
    // It may still fail, for nobody.
    work.catch(() => {});
  }
}

/** Yields what `items` do, as {@link unlessInterrupted} does with each; after an interruption nobody waits for the next one. */
export async function* eachUnlessInterrupted<T>(signal: AbortSignal, items: AsyncGenerator<T>): AsyncGenerator<T> {
  for (;;) {
    const next = await unlessInterrupted(signal, items.next());
    if (next.done) return;
    yield next.value;
  }
}

/** Resolves when somebody asks a server to end, which is no failure of it; rejects when its output cannot be written. */
export async function untilInterrupted(signal: AbortSignal): Promise<void> {
  try {
    await unlessInterrupted(signal, new Promise<never>(() => {}));
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}
