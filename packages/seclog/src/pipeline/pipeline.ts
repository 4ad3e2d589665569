import { SeclogError } from "../event/errors.ts";
import type { ShippingHealth, ShippingNews } from "../ship/news.ts";
import type { HandlerState } from "../ship/watchdog.ts";
import type { StoredPositions } from "./stored.ts";

/** The part of a log below the call: stores the events of one source and ships them to the handlers. */
export interface Pipeline {
  readonly sourceId: string;
  readonly epoch: number;
  /** The last number assigned. */
  readonly lastSeq: number;
  /** Every required handler has the events up to this number. */
  readonly stored: number;
  /** Why writes fail; `undefined` while they succeed. */
  readonly failure: SeclogError | undefined;
  /** Bytes on disk, or in memory, not yet deleted: a handler still needs them, or they are in the open file. */
  readonly bytes: number;
  /** How each handler is doing, judged by what it has acknowledged. */
  handlers(reported: readonly ShippingHealth[]): readonly HandlerState[];
  /**
   * Why an event would be refused now; `undefined` if it would not.
   *
   * @param last whether it is one of the log's closing events, which have room reserved
   */
  refusal(last: boolean): SeclogError | undefined;
  /** Appends the event numbered `nextSeq(this)`, which becomes `lastSeq`. */
  append(seq: number, text: string): void;
  /** Returns once everything is on disk, or throws. */
  flushSync(): void;
  /** Resolve when the event is written, on disk, or stored. Bound, and their rejections may go unhandled. */
  readonly written: (seq: number) => Promise<void>;
  readonly synced: (seq: number) => Promise<void>;
  readonly waitStored: (seq: number) => Promise<void>;
  /** Resolves to true once every required handler has all events so far, to false at the deadline (milliseconds). */
  flush(deadline: number): Promise<boolean>;
  /**
   * Writes what is pending, waits up to the deadline for all handlers, including for what dead processes left, and
   * releases everything except the handlers, which another source may continue to use. Never rejects.
   */
  close(deadline: number): Promise<void>;
  /** The same without waiting, as the process exits. */
  abandon(): void;
  /** Closes the handlers on the application's thread, and waits at most five seconds for them. */
  closeHandlers(): Promise<void>;
  /** After `close()` or `abandon()`: events that may not have reached storage and were not reported as `lost`. */
  left(): LeftOver;
}

/** What a closing log could not store. */
export interface LeftOver {
  /** Events that reached no storage. */
  readonly unwritten: readonly Uint8Array[];
  /** How many others may or may not have. */
  readonly doubtful: number;
  readonly error: SeclogError;
}

/** What a {@link Pipeline} reports to its log. */
export type PipelineNews =
  | ShippingNews
  /** The spool is writable again. */
  | { readonly type: "recovered" }
  /** Another process took over the spool, or it is gone; these records are in memory only. */
  | { readonly type: "lost"; readonly pending: readonly Uint8Array[] };

/** Passes the shipper's news on to the log, and updates the positions from it. */
export function withPositions(
  report: (news: ShippingNews) => void,
  positions: StoredPositions,
): (news: ShippingNews) => void {
  return (news) => {
    // Report first: a caller that awaited the event then reads counts that include it.
    report(news);
    if (news.type === "acknowledged") positions.acknowledge(news.handler, news.seq);
  };
}

/** The error of a receipt that is still pending when its log closes. */
export function closedError(where: string): SeclogError {
  return new SeclogError("SECLOG_CLOSED", `the log was closed before every handler had the event; ${where}`);
}
