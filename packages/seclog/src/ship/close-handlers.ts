import { beforeDeadline } from "./deadline.ts";
import type { SecurityEventHandler } from "./handler.ts";

/** How long handlers may take to close, in milliseconds. */
const CLOSE_MS = 5_000;

/** Closes handlers, and waits at most five seconds for them. Never rejects. */
export async function closeHandlers(handlers: readonly SecurityEventHandler[]): Promise<void> {
  const closed = Promise.allSettled(handlers.map(async (handler) => handler.close()));
  await beforeDeadline(
    CLOSE_MS,
    closed.then(() => {}),
  );
}
