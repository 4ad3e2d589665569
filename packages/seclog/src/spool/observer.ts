import type { SeclogError } from "../event/errors.ts";

/** What the writer reports to its log. Called from the event loop, never from within `append`. */
export interface SpoolObserver {
  /** Everything up to `seq` is on disk. */
  synced(seq: number): void;
  /** The operating system refused; the events wait in memory and the writer retries. */
  failed(error: SeclogError): void;
  /** A write succeeded again after `failed`. */
  recovered(): void;
  /** The segments up to this number are complete: even the last one may be deleted. */
  closed(number: number): void;
  /**
   * Another process took over the directory: writing here has ended. The frames that are not on disk are lost to
   * it.
   */
  lost(): void;
}
