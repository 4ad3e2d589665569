/**
 * Marks that keep events and the application's logger from feeding each other: `seclog/logger` forwards events to it,
 * and a bridge makes events of its records.
 *
 * What came through a bridge is never forwarded, so no event can go around twice, whatever happens to its other marks.
 * That mark is in the event's data, and a stranger who forges it only keeps an event out of the application's own log.
 * The other marks prevent the one copy that is left: an event that was forwarded, and comes back as a record.
 */

/** The member of data that names the bridge through which an event came. */
export const BRIDGE_MEMBER = "bridge";

/** The member of a forwarded record that holds the event, by the names of its columns. */
export const EVENT_MEMBER = "security_event";

/** On that event: text that a stranger chose cannot be a symbol. LogTape drops symbols from the record itself. */
export const FORWARDED: unique symbol = Symbol.for("seclog.forwarded");

/** Whether a record holds an event that was forwarded within this process. Never throws. */
export function isForwarded(record: object): boolean {
  try {
    const event = (record as { readonly [EVENT_MEMBER]?: unknown })[EVENT_MEMBER];
    return typeof event === "object" && event !== null && (event as { [FORWARDED]?: unknown })[FORWARDED] === true;
  } catch {
    return false;
  }
}
