import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import type { SecurityEventHandler } from "./handler.ts";

/** Whether the promise resolves within so many milliseconds; rejects as it does. */
export async function within(deadline: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, deadline, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How long handlers may take to close, in milliseconds. */
const CLOSE_MS = 5_000;

/** Closes handlers, and waits a few seconds for them at most. Never rejects. */
export async function closeHandlers(handlers: readonly SecurityEventHandler[]): Promise<void> {
  const closed = Promise.allSettled(handlers.map(async (handler) => handler.close()));
  await within(
    CLOSE_MS,
    closed.then(() => {}),
  );
}
