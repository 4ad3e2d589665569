/** For applications: the handler that stores events in PostgreSQL, and the decoding of a row into its event. */
export type { TlsOption } from "./connection-config.ts";
export { type PostgresHandlerOptions, postgresHandler } from "./handler.ts";
export type { CopyStream, PostgresPool, PostgresPoolClient } from "./pool.ts";
export { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";
