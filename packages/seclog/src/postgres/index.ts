/**
 * For applications: the handler that stores events in PostgreSQL, and the decoding of a row into its event. For what
 * takes events out of a queue: the relay's store.
 */
export type { TlsOption } from "./connection-config.ts";
export { type PostgresHandlerOptions, postgresHandler } from "./handler.ts";
export type { CopyStream, PostgresPool, PostgresPoolClient } from "./pool.ts";
export {
  type DroppedLetters,
  type RelayBatch,
  type RelayQuarantined,
  type RelaySource,
  type RelayStore,
  type RelayStoreOptions,
  relayStore,
} from "./relay.ts";
export { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";
