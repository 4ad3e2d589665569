/** Ends a command on Ctrl-C, on the other signals that ask for it, and when the reader closes the output. */
import { OutputClosed, outputError } from "./print.ts";

/** 128 + the signal's number, as in shells. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** A signal asked the program to end. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: keyof typeof EXIT_CODES) {
    super(`interrupted by ${signal}`);
    this.exitCode = EXIT_CODES[signal];
  }
}

/**
 * A second signal within this time belongs to the same Ctrl-C: the terminal signals the whole process group, and npm and
 * npx forward theirs as well.
 */
const SAME_PRESS_MS = 500;

let stopping: AbortController | undefined;

/**
 * Aborts on SIGINT, SIGTERM or SIGHUP, or when standard output fails. A second Ctrl-C exits at once. The handlers exist
 * from the first call on, so a command that needs no cleanup keeps the default behaviour.
 *
 * @param finishes true for work that goes on when the reader of standard output closes it
 */
export function interruption(finishes = false): AbortSignal {
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
  process.stdout.on("error", (error) => {
    const reason = outputError(error);
    if (!(finishes && reason instanceof OutputClosed)) controller.abort(reason);
  });
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
    // It may still fail after the race is over.
    work.catch(() => {});
  }
}

/** Yields the items under {@link unlessInterrupted}, so that an interruption does not wait for the next one. */
export async function* eachUnlessInterrupted<T>(signal: AbortSignal, items: AsyncGenerator<T>): AsyncGenerator<T> {
  for (;;) {
    const next = await unlessInterrupted(signal, items.next());
    if (next.done) return;
    yield next.value;
  }
}

/** Resolves when a signal asks a server to end, which is not a failure; rejects when its output cannot be written. */
export async function untilInterrupted(signal: AbortSignal): Promise<void> {
  try {
    await unlessInterrupted(signal, new Promise<never>(() => {}));
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}
