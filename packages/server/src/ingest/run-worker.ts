/** `seclog work` as its callers run it: a worker, and over HTTP how it is. */

import type { SenderKey } from "../config/queue.ts";
import { type ListenAddress, startHttpService } from "../http/service.ts";
import { InputError } from "../text/input-error.ts";
import { type WorkEvent, Worker, type WorkerOptions } from "./work.ts";
import { workResponse } from "./work-http.ts";
import { WorkMetrics } from "./work-metrics.ts";

/** Options of {@link runWorker}. */
export interface RunWorkerOptions extends WorkerOptions {
  /** Where `/healthz`, `/readyz` and `/metrics` are served. @default nowhere */
  readonly listen?: ListenAddress;
  /** Receives the address, once it is served. */
  readonly onListening: (url: string) => Promise<void>;
  /** Receives what fails while a request is answered. */
  readonly onHttpError: (error: unknown) => void;
  /** Asks it to stop. */
  readonly signal: AbortSignal;
}

/**
 * Runs a worker until `signal` aborts.
 *
 * @throws SeclogError as {@link Worker.run}; InputError when the address cannot be served
 */
export async function runWorker(options: RunWorkerOptions): Promise<void> {
  const { listen, onListening, onHttpError, onEvent, signal, ...others } = options;
  let count: (event: WorkEvent) => void = () => {};
  const worker = new Worker({
    ...others,
    onEvent: (event) => {
      count(event);
      onEvent(event);
    },
  });
  const metrics = new WorkMetrics(worker);
  count = (event) => metrics.note(event);
  const respond = (request: Parameters<typeof workResponse>[0]): ReturnType<typeof workResponse> =>
    workResponse(request, worker, metrics);
  const service = listen === undefined ? undefined : await startHttpService({ listen, respond, onError: onHttpError });
  try {
    if (service !== undefined) await onListening(service.url);
    await worker.run(signal);
  } finally {
    await service?.close();
  }
}

/**
 * Judges the keys of a worker's senders. Without one, it works only when that was decided, or outside production.
 *
 * @returns a warning, without a key and without a decision
 * @throws InputError `SECLOG_CONFIG` without a key in production, and for a key together with the decision against one
 */
export function keylessWarning(
  keys: readonly SenderKey[],
  { isPlain, isProduction }: { readonly isPlain: boolean; readonly isProduction: boolean },
): string | undefined {
  if (keys.length > 0) {
    if (!isPlain) return undefined;
    throw new InputError((named) => `${named("plain")} and a queue key exclude each other: keep one`);
  }
  if (isPlain) return undefined;
  const problem = "without a queue key, anyone who reaches the engine can forge events";
  if (!isProduction) return problem;
  throw new InputError(
    (named) => `${problem}: name one with ${named("queueKey")}, or accept that with ${named("plain")}`,
  );
}
