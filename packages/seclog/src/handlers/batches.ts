import { errorMessage } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import { type EventBatch, HandlerError } from "../ship/handler.ts";

/**
 * The events of a batch.
 *
 * @throws HandlerError of kind `"event"` when one of them cannot be read: the shipper then finds out which.
 */
export function decodedEvents(batch: EventBatch): readonly SecurityEvent[] {
  try {
    return batch.events;
  } catch (error) {
    throw new HandlerError("event", errorMessage(error), { cause: error });
  }
}

/** For a batch that comes after `close()`. */
export function closedError(): HandlerError {
  return new HandlerError("destination", "the handler was closed", { code: "SECLOG_CLOSED" });
}
