/** Takes an event into the pipeline of now, or counts it as dropped: what a log does between a call and its receipt. */
import type { Durability } from "../event/durability.ts";
import { decodeEvent } from "../event/encode.ts";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { OnBehalfReceipt } from "../record/on-behalf.ts";
import { NO_REQUEST, type Recorder, type ResolvedType } from "../record/recorder.ts";
import type { Diagnostic } from "../record/security-log.ts";
import { DropCounter } from "./drops.ts";
import { EventReceipt, failedReceipt, NOTHING_TO_WAIT_FOR } from "./receipt.ts";
import type { Reopening } from "./reopening.ts";

export interface IntakeOptions {
  readonly recorder: Recorder;
  /** What applications chose for a type, instead of its own. */
  readonly durability: ReadonlyMap<string, Durability>;
  readonly throwOnFull: boolean;
  /** The rank of the lowest level that is recorded. */
  readonly threshold: number;
  /** Asked at each event: the log makes it after the intake. */
  readonly reopening: () => Reopening;
  readonly diagnose: (level: Diagnostic["level"], code: Diagnostic["code"], message: string) => void;
}

/** An event of the log itself. */
type OwnType =
  | "log_started"
  | "log_stopped"
  | "log_level_changed"
  | "log_heartbeat"
  | "events_dropped"
  | "event_quarantined"
  | "source_seized";

export class Intake {
  readonly #options: IntakeOptions;
  readonly #drops = new DropCounter();
  #recorded = 0;
  #belowLevel = 0;
  #dropping: SeclogError | undefined;
  /** Set by the log's level. */
  threshold: number;
  /** The log is recording its closing events: what was dropped, and that it stopped. Set by the log. */
  isEnding = false;
  /** Everything but a start and a stop is refused. Set by the log. */
  isClosed = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.threshold = options.threshold;
  }

  get counts(): { readonly recorded: number; readonly belowLevel: number; readonly dropped: number } {
    return { recorded: this.#recorded, belowLevel: this.#belowLevel, dropped: this.#drops.total };
  }

  /** Why events are being dropped; `undefined` when none was since the last report. */
  get dropping(): SeclogError | undefined {
    return this.#drops.pending ? this.#dropping : undefined;
  }

  /** Records an event unless its level is too low. */
  recordIfEnabled(
    resolved: ResolvedType,
    request: unknown,
    data: unknown,
    recorder: Recorder = this.#options.recorder,
  ): OnBehalfReceipt {
    if (resolved.definition.category !== "log" && !recorder.reaches(resolved, data, this.threshold)) {
      this.#belowLevel += 1;
      recorder.skip(resolved, request);
      return NOTHING_TO_WAIT_FOR;
    }
    return this.#record(recorder, resolved, request, data);
  }

  /** One of the log's own events: always recorded, whatever the level. */
  own(type: OwnType, data: object): void {
    const { recorder, diagnose } = this.#options;
    try {
      this.#record(recorder, recorder.resolve(type), NO_REQUEST, data, true);
    } catch (thrown) {
      diagnose("error", "SECLOG_SPOOL_WRITE", errorMessage(thrown));
    }
  }

  /** Records how many events were dropped, if any were and there is room for that. */
  reportDrops(): void {
    if (!this.#drops.pending || this.isClosed || this.#refusal(true) !== undefined) return;
    const drops = this.#drops.take();
    if (drops !== undefined) this.own("events_dropped", drops);
  }

  /** Counts recorded events that reached no storage. */
  dropUnwritten(records: readonly Uint8Array[], error: SeclogError): void {
    for (const record of records) this.#drops.count(decodeEvent(record).type, error.message);
  }

  #record(recorder: Recorder, resolved: ResolvedType, request: unknown, data: unknown, own = false): OnBehalfReceipt {
    const pipeline = this.#options.reopening().current;
    const durability = this.#options.durability.get(resolved.name) ?? resolved.definition.durability;
    const startOrStop = own && (resolved.name === "log_stopped" || resolved.name === "log_started");
    if (this.isClosed && !startOrStop) return this.#drop(resolved.name, durability, closedError());
    const refusal = this.#refusal(own);
    if (refusal !== undefined) return this.#drop(resolved.name, durability, refusal);
    if (this.#drops.pending && resolved.name !== "events_dropped") this.reportDrops();
    const { id, seq, text } = recorder.record(resolved, request, data, pipeline);
    pipeline.append(seq, text);
    this.#recorded += 1;
    if (durability === "strict") pipeline.flushSync();
    return new EventReceipt(
      id,
      seq,
      durability === "process" ? pipeline.written : pipeline.synced,
      pipeline.waitStored,
    );
  }

  /** Why an event would be refused now; `undefined` if it would not. */
  #refusal(own: boolean): SeclogError | undefined {
    const { current, error } = this.#options.reopening();
    return error ?? current.refusal(own && this.isEnding);
  }

  #drop(type: string, durability: Durability, error: SeclogError): OnBehalfReceipt {
    const { diagnose, throwOnFull } = this.#options;
    this.#drops.count(type, error.message);
    this.#dropping = error;
    diagnose("error", error.code, error.message);
    if (durability === "strict" && (throwOnFull || error.code !== "SECLOG_SPOOL_FULL")) throw error;
    return failedReceipt(error);
  }
}

/** Why nothing is recorded after `close()`. */
export function closedError(): SeclogError {
  return new SeclogError("SECLOG_CLOSED", "the log is closed: create it once, close it last");
}
