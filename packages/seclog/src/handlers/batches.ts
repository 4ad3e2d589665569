import { errorMessage } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import { type EventBatch, HandlerError } from "../ship/handler.ts";

/**
 * Decodes a batch.
 *
 * @throws HandlerError of kind `"event"` when one of them cannot be decoded: the shipper then finds out which
 */
export function decodedEvents(batch: EventBatch): readonly SecurityEvent[] {
  try {
    return batch.events;
  } catch (error) {
    throw new HandlerError("event", errorMessage(error), { cause: error });
  }
}

/** The failure of a batch that arrives after `close()`. */
export function closedError(): HandlerError {
  return new HandlerError("destination", "the handler is closed", { code: "SECLOG_CLOSED" });
}
