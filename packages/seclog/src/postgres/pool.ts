import type { Writable } from "node:stream";

/**
 * The part of pg's `Pool` that the handler uses: an application may pass its own. Connections may go through PgBouncer.
 */
export interface PostgresPool {
  connect(callback: (error: Error | undefined, client: PostgresPoolClient | undefined) => void): void;
}

/** The part of pg's `PoolClient` that the handler uses. */
export interface PostgresPoolClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  query(stream: CopyStream): CopyStream;
  release(destroy?: Error | boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A `COPY … FROM STDIN` of pg-copy-streams. */
export interface CopyStream extends Writable {
  submit(connection: unknown): void;
}
