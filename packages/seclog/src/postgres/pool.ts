import type { Writable } from "node:stream";

/** What is used of pg's `Pool`, so that an application's own can be given. Sessions may come through PgBouncer. */
export interface PostgresPool {
  connect(callback: (error: Error | undefined, client: PostgresPoolClient | undefined) => void): void;
}

/** What is used of pg's `PoolClient`. */
export interface PostgresPoolClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
  query(stream: CopyStream): CopyStream;
  release(destroy?: Error | boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** What pg-copy-streams makes of a `COPY … FROM STDIN`. */
export interface CopyStream extends Writable {
  submit(connection: unknown): void;
}
