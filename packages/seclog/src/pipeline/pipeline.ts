import { SeclogError } from "../event/errors.ts";
import type { ShippingHealth, ShippingNews } from "../ship/news.ts";
import type { HandlerState } from "../ship/watchdog.ts";
import type { StoredPositions } from "./stored.ts";

/** The part of a log below the call: keeps the events of one source and carries them to the handlers. */
export interface Pipeline {
  readonly sourceId: string;
  readonly epoch: number;
  /** The last number that was given. */
  readonly lastSeq: number;
  /** The number up to which every required handler has the events. */
  readonly stored: number;
  /** Why nothing can be written; `undefined` while it can. */
  readonly failure: SeclogError | undefined;
  /** Bytes of the files, or in memory, of what is not deleted yet: some handler needs it, or it is in the open file. */
  readonly bytes: number;
  /** How each handler is doing, judged by what it has acknowledged. */
  handlers(reported: readonly ShippingHealth[]): readonly HandlerState[];
  /**
   * Why no event can be taken now; `undefined` when one can.
   *
   * @param last whether it is one of the log's last, for which room is kept
   */
  refusal(last: boolean): SeclogError | undefined;
  /** Takes the event that got the number `nextSeq` of this; `lastSeq` is then its number. */
  append(seq: number, text: string): void;
  /** Everything is on disk when this returns, or it throws. */
  flushSync(): void;
  /** Each resolves when the event is written, on disk, or stored; each may be passed around and left unhandled. */
  readonly written: (seq: number) => Promise<void>;
  readonly synced: (seq: number) => Promise<void>;
  readonly waitStored: (seq: number) => Promise<void>;
  /** Resolves to true when every required handler has all events until now, to false at the deadline (milliseconds). */
  flush(deadline: number): Promise<boolean>;
  /**
   * Writes what there is, waits up to the deadline for all handlers, also with what dead processes left, and gives
   * everything up but the handlers, which another source may go on with. Never rejects.
   */
  close(deadline: number): Promise<void>;
  /** The same without waiting, at the end of the process. */
  abandon(): void;
  /** Closes the handlers of the application's thread. Waits a few seconds for them at most. */
  closeHandlers(): Promise<void>;
  /** What was recorded and is not known to be kept, once it is closed or abandoned, and nobody was reported of as `lost`. */
  left(): LeftOver;
}

/** What a log that ends could not keep. */
export interface LeftOver {
  /** Events that are nowhere. */
  readonly unwritten: readonly Uint8Array[];
  /** How many others may be kept, or not. */
  readonly doubtful: number;
  readonly error: SeclogError;
}

/** What a {@link Pipeline} reports to its log. */
export type PipelineNews =
  | ShippingNews
  /** The spool can be written again. */
  | { readonly type: "recovered" }
  /** Another process took the spool over, or it is gone; these records are in memory only. */
  | { readonly type: "lost"; readonly pending: readonly Uint8Array[] };

/** Adds up who has what, on the way of the shipper's news to the log. */
export function withPositions(
  report: (news: ShippingNews) => void,
  positions: StoredPositions,
): (news: ShippingNews) => void {
  return (news) => {
    // First the counts, so that whoever waited for the event finds those that belong to it.
    report(news);
    if (news.type === "acknowledged") positions.acknowledge(news.handler, news.seq);
  };
}

/** Why a receipt is rejected that still waits when its log is closed. */
export function closedError(where: string): SeclogError {
  return new SeclogError("SECLOG_CLOSED", `the log was closed before every handler had the event; ${where}`);
}
