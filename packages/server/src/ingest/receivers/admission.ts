/** Records what receivers read: as the sender's, within what its token allows, and with what it may not say overwritten. */
import { type Receipt, SeclogError, type SecurityLog } from "seclog";
import { nextSeq, type OnBehalfReceipt, type Origin, type RecordOnBehalf, recordOnBehalf } from "seclog/receivers";
import { type BatchResult, MOST_LISTED, type RefusedItem } from "./batch-result.ts";
import type { SeqRun } from "./keyed-results.ts";
import { isRefused, type Received, type ReceivedEvent, type Refused, requestOf } from "./received-event.ts";
import { allowsType, type TokenEntry } from "./token.ts";
import { ownTypes } from "./types.ts";

/** What was recorded of a batch. */
export interface Admitted {
  readonly result: BatchResult;
  /** Accepted events that were recorded, with those of earlier attempts. */
  readonly recorded: number;
  /** Their numbers, of the log's source. */
  readonly source: string;
  readonly runs: readonly SeqRun[];
  /** Resolves when all of them are on disk. */
  readonly durable: Promise<void>;
  /** Why the rest was not recorded; `undefined` if all was. */
  readonly stopped: SeclogError | undefined;
}

/** Where an event came from, in its data. */
const ORIGIN_MEMBER = "collector";

/** The most remembered origins: senders choose their loggers' names. */
const MOST_ORIGINS = 1_000;

export class Admission {
  readonly #log: SecurityLog;
  readonly #origins = new Map<string, RecordOnBehalf>();

  constructor(log: SecurityLog) {
    this.#log = log;
  }

  /** What {@link admit} would do: how many events it accepts, and the numbers of those that are not recorded yet. */
  foresee(sender: TokenEntry, events: readonly Received[], skip: number): Pick<Admitted, "result" | "source" | "runs"> {
    const refused = events.filter((event) => isRefused(event) || problemOf(sender, event) !== undefined).length;
    const accepted = events.length - refused;
    const runs: SeqRun[] = accepted > skip ? [[nextSeq(this.#log), accepted - skip]] : [];
    return { result: { accepted, refused, forbidden: 0, items: [] }, source: this.#log.sourceId, runs };
  }

  /**
   * Records a batch in one turn of the event loop, so that its events get consecutive numbers.
   *
   * @param receiver the receiver's name, for the data
   * @param skip how many accepted events an earlier attempt has recorded
   */
  admit(sender: TokenEntry, receiver: string, events: readonly Received[], skip = 0): Admitted {
    const items: RefusedItem[] = [];
    let refused = 0;
    let forbidden = 0;
    const runs: [number, number][] = [];
    let accepted = 0;
    let recorded = skip;
    let last: OnBehalfReceipt | undefined;
    let stopped: SeclogError | undefined;
    for (const [index, event] of events.entries()) {
      const problem = isRefused(event) ? event : problemOf(sender, event);
      if (problem !== undefined) {
        refused += 1;
        if (problem.code === "not-allowed") forbidden += 1;
        if (refused <= MOST_LISTED) items.push({ index, ...problem });
        continue;
      }
      accepted += 1;
      if (accepted <= skip || stopped !== undefined) continue;
      const receipt = this.#record(sender, receiver, event as ReceivedEvent);
      if (receipt.seq === 0) {
        stopped = new SeclogError("SECLOG_SPOOL_FULL", "the collector's spool takes no events at the moment");
        continue;
      }
      recorded += 1;
      last = receipt;
      const run = runs.at(-1);
      if (run !== undefined && receipt.seq === run[0] + run[1]) run[1] += 1;
      else runs.push([receipt.seq, 1]);
    }
    return {
      result: { accepted, refused, forbidden, items },
      recorded,
      source: this.#log.sourceId,
      runs,
      // Numbers reach the disk in order.
      durable: last?.durable ?? Promise.resolve(),
      stopped,
    };
  }

  #record(sender: TokenEntry, receiver: string, event: ReceivedEvent): OnBehalfReceipt {
    const { type, origin, request, data, time } = event;
    // The sender's own members of these names would date the event, or hide who sent it.
    const { occurredAt, [ORIGIN_MEMBER]: hidden, ...own } = data;
    const { service, claimed } = serviceOf(sender, origin, {
      ...event.claimed,
      ...(occurredAt !== undefined && { occurredAt }),
      ...(hidden !== undefined && { [ORIGIN_MEMBER]: hidden }),
    });
    const kept = {
      sender: sender.name,
      receiver,
      ...(time !== undefined && { time: time.toISOString() }),
      ...(Object.keys(claimed).length > 0 && { claimed }),
    };
    const dated = sender.trustClock === true && time !== undefined ? { occurredAt: time } : undefined;
    const record = this.#recorderOf({ ...origin, service });
    try {
      return record(type, requestOf(request), { ...own, ...dated, [ORIGIN_MEMBER]: kept });
    } catch (error) {
      // Of durability "strict": counted, and reported by the log.
      return failed(error);
    }
  }

  #recorderOf(origin: Origin): RecordOnBehalf {
    const name = JSON.stringify([origin.service, origin.logger, origin.environment, origin.host]);
    let record = this.#origins.get(name);
    if (record === undefined) {
      if (this.#origins.size >= MOST_ORIGINS) this.#origins.clear();
      record = recordOnBehalf(this.#log, origin);
      this.#origins.set(name, record);
    }
    return record;
  }
}

function problemOf(sender: TokenEntry, { type }: ReceivedEvent): Refused | undefined {
  if (ownTypes.has(type)) {
    return { code: "not-allowed", message: `${type} is an event of the log itself, which only the log records` };
  }
  if (allowsType(sender, type)) return undefined;
  const shown = JSON.stringify(type.slice(0, 60));
  return { code: "not-allowed", message: `the token ${sender.name} may not send events of type ${shown}` };
}

/** The service, which is one of the token's: another one that the sender names is kept beside it. */
function serviceOf(
  { services }: TokenEntry,
  { service }: Origin,
  claimed: NonNullable<ReceivedEvent["claimed"]>,
): { readonly service: string | undefined; readonly claimed: NonNullable<ReceivedEvent["claimed"]> } {
  if (service === undefined || services.includes(service)) return { service: service ?? services[0], claimed };
  return { service: services[0], claimed: { ...claimed, service } };
}

function failed(error: unknown): OnBehalfReceipt {
  const durable: Receipt["durable"] = Promise.reject(error);
  durable.catch(() => {});
  return { id: null, seq: 0, durable, stored: durable };
}
