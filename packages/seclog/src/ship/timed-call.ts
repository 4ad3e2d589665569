import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import { failureOf } from "./failure.ts";
import { HandlerError } from "./handler.ts";

/** How long one call of a handler may take before its signal aborts, in milliseconds. */
const HANDLE_TIMEOUT_MS = 120_000;

/** How long an aborted call may take to settle before it is abandoned, in milliseconds. */
const GRACE_MS = 1_000;

/** The handler settled neither in time nor after its signal aborted, and may never do so. */
export class UnsettledError extends HandlerError {}

/**
 * Runs a handler's method with a time limit. Never rejects: resolves to the failure, whatever was thrown, or to
 * `undefined` if it succeeded.
 *
 * @param controller aborts the call; it is also aborted when the time runs out
 */
export async function timedCall(
  handler: string,
  controller: AbortController,
  method: (signal: AbortSignal) => Promise<void>,
): Promise<HandlerError | undefined> {
  const { signal } = controller;
  const timer = setTimeout(() => controller.abort(), HANDLE_TIMEOUT_MS).unref();
  let grace: NodeJS.Timeout | undefined;
  const ignored = new Promise<never>((_, reject) => {
    const onAbort = (): void => {
      grace = setTimeout(reject, GRACE_MS, new UnsettledError("retry", `${handler} did not give up when asked`));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
  });
  try {
    await Promise.race([method(signal), ignored]);
    return undefined;
  } catch (thrown) {
    return failureOf(thrown);
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
  }
}
