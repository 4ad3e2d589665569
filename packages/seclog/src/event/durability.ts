/**
 * What `receipt.durable` waits for, and what a crash before that can lose:
 *
 * - `"process"`: written to the operating system before the current turn of the event loop ends. Survives
 *   `kill -9` after that; a power loss can lose what was written in the last tenth of a second.
 * - `"disk"`: as `"process"`, and `durable` resolves when a grouped `fdatasync` has covered it. Survives power loss.
 * - `"strict"`: the call itself returns only after `fdatasync`, and throws if the event is not on disk:
 *   `SECLOG_SPOOL_WRITE`, `SECLOG_SPOOL_LOST`, `SECLOG_CLOSED`, and `SECLOG_SPOOL_FULL` unless `onFull` is
 *   `"drop"`. For events without which an action must not proceed. Blocks the event loop for a few milliseconds.
 */
export const DURABILITIES = ["process", "disk", "strict"] as const;

/** One of {@link DURABILITIES}. */
export type Durability = (typeof DURABILITIES)[number];
