/** Joins the floors: a call is recorded (record), kept (spool) and carried to the handlers (ship). */

import type { EventDefinitions } from "../event/definition.ts";
import type { Delivery } from "../event/delivery.ts";
import { decodeEvent, encodeEvent } from "../event/encode.ts";
import { type ErrorCode, errorMessage, SeclogError } from "../event/errors.ts";
import { type Level, levelRank } from "../event/level.ts";
import { wholeNumber } from "../event/options.ts";
import { openKeeping } from "../pipeline/open-pipeline.ts";
import type { Keeping } from "../pipeline/pipeline.ts";
import { judgeNow } from "../record/causes.ts";
import { eventClock } from "../record/clock.ts";
import { createDataEncoder } from "../record/data.ts";
import { NO_REQUEST, Recorder } from "../record/recorder.ts";
import type { Diagnostic, EventType, Health, Receipt, SecurityLog } from "../record/security-log.ts";
import { uuidv7 } from "../record/uuid.ts";
import { clearInterval, clearTimeout, setInterval, setTimeout } from "../runtime/timers.ts";
import type { FailureKind, SecurityEventHandler } from "../ship/handler.ts";
import { isShipperThread } from "../ship/protocol.ts";
import { idle, type ShippingHealth, type SpoolHealth } from "../ship/shipper.ts";
import { Diagnostics } from "./diagnostics.ts";
import { DropCounter } from "./drops.ts";
import { takeExclusive } from "./exclusive.ts";
import { healthOf } from "./health.ts";
import { assertLevel, checkedOptions, type SecurityLogOptions } from "./options.ts";
import { EventReceipt, failedReceipt, NOTHING_TO_WAIT_FOR } from "./receipt.ts";
import { LogWatch } from "./watch.ts";

const FLUSH_MS = 10_000;
const CLOSE_MS = 5_000;
/** The longest deadline: a day. A timer takes no more than 24 days. */
const LONGEST_MS = 86_400_000;

/**
 * Opens a named log. The spool is opened here; the network is not touched: the handlers connect on a thread of their own
 * when the first events arrive there.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault; `SECLOG_SPOOL_DIRECTORY`
 */
export function createSecurityLog<Events extends EventDefinitions = Record<never, never>>(
  options: SecurityLogOptions<Events>,
): SecurityLog<Events> {
  return new OpenLog<Events>(options);
}

/** A log between two spools: the one was lost, and no other can be opened yet. */
interface BetweenSpools {
  readonly last: { readonly sourceId: string; readonly lastSeq: number };
  /** What the lost spool had not taken, to be recorded first of all. */
  readonly pending: readonly Uint8Array[];
  /** Why no other can be opened, and how long is waited before the next try, in milliseconds. */
  readonly error: SeclogError;
  readonly pause: number;
  readonly timer?: NodeJS.Timeout;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** So many events that tell of a quarantine are known again when they are quarantined themselves. */
const MOST_REPORTS = 10_000;

/** Logs that are open, for the one listener of the process's end. */
const openLogs = new Set<{ processEnds(): void }>();
const onProcessExit = (): void => {
  for (const log of openLogs) log.processEnds();
};

class OpenLog<Events extends EventDefinitions> implements SecurityLog<Events> {
  readonly name: string;
  #level: Level;
  #threshold: number;
  readonly #handlers: readonly SecurityEventHandler[];
  readonly #recorder: Recorder;
  readonly #delivery: ReadonlyMap<string, Delivery>;
  readonly #failWhenFull: boolean;
  readonly #diagnostics: Diagnostics;
  readonly #drops = new DropCounter();
  readonly #heartbeat: NodeJS.Timeout | undefined;
  readonly #watch: LogWatch;
  readonly #releaseExclusive: () => void;
  #keeping: Keeping;
  /** While there is no spool to write to; `#keeping` is the lost one then. */
  #between: BetweenSpools | undefined;
  #recorded = 0;
  #belowLevel = 0;
  #shipping: readonly ShippingHealth[];
  #spoolHealth: SpoolHealth = {};
  #dropping: SeclogError | undefined;
  /** Sources and numbers of the last events that told of a quarantine. */
  readonly #reports = new Set<string>();
  #closing: Promise<void> | undefined;
  /** The log records its last events: what was dropped, and that it stopped. */
  #ending = false;

  constructor(options: SecurityLogOptions<Events>) {
    if (isShipperThread()) throw shipperThreadError();
    const { level, events, spool, heartbeat, redactor, ...checked } = checkedOptions(options, (message) =>
      this.#diagnostics.tell({ level: "warning", code: "SECLOG_CLIENT_ADDRESS", message }, false),
    );
    this.name = checked.name;
    this.#level = level;
    this.#threshold = levelRank(level);
    this.#handlers = checked.handlers;
    this.#delivery = checked.delivery;
    this.#failWhenFull = checked.failWhenFull;
    this.#diagnostics = new Diagnostics(options.diagnostics);
    this.#recorder = new Recorder({
      logger: this.name,
      service: checked.service,
      environment: checked.environment,
      host: checked.host,
      events,
      clock: eventClock(),
      clientIp: checked.clientIp,
      redactor,
      encodeData: createDataEncoder(redactor),
    });
    this.#shipping = this.#handlers.map(({ name }) => idle(name));
    const observer = {
      acknowledged: (handler: number, _: number, health: ShippingHealth): void => {
        this.#shipping = this.#shipping.with(handler, health);
      },
      health: (handlers: readonly ShippingHealth[], spoolHealth: SpoolHealth): void => {
        this.#shipping = handlers;
        this.#spoolHealth = spoolHealth;
      },
      failed: (handler: string | undefined, kind: FailureKind, code: ErrorCode, message: string): void => {
        this.#diagnose(kind === "destination" ? "error" : "warning", code, message, handler);
      },
      quarantined: (handler: string, source: string, seq: number, reason: string, event: string | undefined): void => {
        this.#diagnose(
          "error",
          "SECLOG_EVENT_REJECTED",
          `event ${seq} of ${source} is in quarantine: ${reason}`,
          handler,
        );
        // An `event_quarantined` event quotes the reason and may itself be rejected, or be damaged so that nobody knows its type.
        // It is not reported again, or the reports would never stop.
        if (event === "event_quarantined" || this.#reports.has(`${source} ${seq}`)) return;
        this.#own("event_quarantined", { handler, source_id: source, seq, reason });
        this.#reports.add(`${this.sourceId} ${this.#keeping.lastSeq}`);
        const [oldest = ""] = this.#reports;
        if (this.#reports.size > MOST_REPORTS) this.#reports.delete(oldest);
      },
      seized: (handler: string, source: string, seq: number, successor: string, message: string): void => {
        this.#diagnose("error", "SECLOG_SOURCE_SEIZED", message, handler);
        this.#own("source_seized", { handler, source_id: source, last_seq: seq, successor_id: successor });
      },
      freed: (): void => this.#tellDrops(),
      recovered: (): void => {
        this.#diagnose("info", "SECLOG_RECOVERED", "the spool can be written again");
        this.#tellDrops();
      },
      // The disk that was to be this log's own is another's now: go on with a new source, and lose nothing on the way.
      lost: (pending: readonly Uint8Array[]): void => this.#reopen(pending),
    };
    const openNext = (): Keeping => openKeeping(spool, uuidv7(eventClock().now()), this.#handlers, observer);
    this.#openNext = openNext;
    this.#releaseExclusive = takeExclusive(this.#handlers, this.name);
    try {
      this.#keeping = openNext();
    } catch (error) {
      this.#releaseExclusive();
      throw error;
    }
    openLogs.add(this);
    if (openLogs.size === 1) process.on("exit", onProcessExit);
    this.#own("log_started", { pid: process.pid, node: process.version, level });
    if (heartbeat !== undefined) {
      this.#heartbeat = setInterval(() => this.#own("log_heartbeat", this.#counts()), heartbeat).unref();
    }
    this.#watch = new LogWatch(
      spool !== "memory",
      () => this.health(),
      (...told) => this.#diagnose(...told),
    );
  }

  readonly #openNext: () => Keeping;

  get sourceId(): string {
    return this.#keeping.sourceId;
  }

  readonly recordSecurityEvent: SecurityLog<Events>["recordSecurityEvent"] = (type, request, data) => {
    const resolved = this.#recorder.resolve(type);
    if (levelRank(resolved.definition.level) < this.#threshold && resolved.definition.category !== "log") {
      const refined = this.#recorder.refinedLevel(resolved, data);
      if (refined === undefined || levelRank(refined) < this.#threshold) {
        this.#belowLevel += 1;
        this.#recorder.skip(resolved, request);
        return NOTHING_TO_WAIT_FOR;
      }
    }
    return this.#record(resolved, request, data);
  };

  get level(): Level {
    return this.#level;
  }

  set level(level: Level) {
    assertLevel("SecurityLog", level);
    const previous = this.#level;
    if (level === previous) return;
    this.#level = level;
    this.#threshold = levelRank(level);
    if (this.#closing === undefined) this.#own("log_level_changed", { level, previous });
  }

  isEnabled(type: EventType<Events>): boolean {
    const { definition } = this.#recorder.resolve(type);
    return definition.category === "log" || levelRank(definition.level) >= this.#threshold;
  }

  async flush(options: { readonly deadline?: number } = {}): Promise<void> {
    const deadline = deadlineOf("flush", options, FLUSH_MS);
    judgeNow();
    const keeping = this.#keeping;
    const wanted = keeping.lastSeq;
    if (this.#closing !== undefined) {
      await this.#closing;
      if (keeping.stored >= wanted) return;
      throw closed();
    }
    if (!(await keeping.flush(deadline))) {
      throw new SeclogError(
        "SECLOG_DEADLINE",
        `${wanted - keeping.stored} events were not stored within ${deadline} ms: they stay in the spool; health() says what holds them up`,
      );
    }
  }

  close(options: { readonly deadline?: number } = {}): Promise<void> {
    if (this.#closing === undefined) {
      judgeNow();
      this.#closing = this.#close(this.#closeDeadline(options));
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  health(): Health {
    return healthOf({
      keeping: this.#keeping,
      told: this.#shipping,
      spool: this.#spoolHealth,
      failure: this.#between?.error ?? this.#keeping.failure,
      dropping: this.#drops.pending ? this.#dropping : undefined,
      counts: this.#counts(),
    });
  }

  /** The process ends without a close: what this turn recorded is written and synced before it does. */
  processEnds(): void {
    judgeNow();
    this.#ending = true;
    this.#tellDrops();
    this.#own("log_stopped", { ...this.#counts(), reason: "the process ended without closing the log" });
    // What is recorded by an `exit` listener that comes after ours would be written nowhere.
    this.#closing ??= Promise.resolve();
    this.#keeping.abandon();
    this.#tellLeft();
    this.#diagnostics.giveNow();
  }

  #record(resolved: ReturnType<Recorder["resolve"]>, request: unknown, data: unknown, own = false): Receipt {
    const keeping = this.#keeping;
    const delivery = this.#delivery.get(resolved.name) ?? resolved.definition.delivery;
    const tellsOfTheLog = own && (resolved.name === "log_stopped" || resolved.name === "log_started");
    if (this.#closing !== undefined && !tellsOfTheLog) return this.#drop(resolved.name, delivery, closed());
    const refusal = this.#refusal(own);
    if (refusal !== undefined) return this.#drop(resolved.name, delivery, refusal);
    if (this.#drops.pending && resolved.name !== "events_dropped") this.#tellDrops();
    const { id, seq, text } = this.#recorder.record(resolved, request, data, keeping);
    keeping.append(text);
    this.#recorded += 1;
    if (delivery === "strict") keeping.flushSync();
    return new EventReceipt(id, seq, delivery === "process" ? keeping.written : keeping.synced, keeping.waitStored);
  }

  /** Why no event can be taken now. */
  #refusal(own: boolean): SeclogError | undefined {
    return this.#between?.error ?? this.#keeping.refusal(own && this.#ending);
  }

  #drop(type: string, delivery: Delivery, error: SeclogError): Receipt {
    this.#drops.count(type, error.message);
    this.#dropping = error;
    this.#diagnose("error", error.code, error.message);
    if (delivery === "strict" && (this.#failWhenFull || error.code !== "SECLOG_SPOOL_FULL")) throw error;
    return failedReceipt(error);
  }

  /** One of the log's own events: always recorded, whatever the level. */
  #own(
    type:
      | "log_started"
      | "log_stopped"
      | "log_level_changed"
      | "log_heartbeat"
      | "events_dropped"
      | "event_quarantined"
      | "source_seized",
    data: object,
  ): void {
    try {
      this.#record(this.#recorder.resolve(type), NO_REQUEST, data, true);
    } catch (thrown) {
      this.#diagnose("error", "SECLOG_SPOOL_WRITE", errorMessage(thrown));
    }
  }

  #tellDrops(): void {
    if (!this.#drops.pending || this.#closing !== undefined || this.#refusal(true) !== undefined) return;
    const drops = this.#drops.take();
    if (drops !== undefined) this.#own("events_dropped", drops);
  }

  #reopen(pending: readonly Uint8Array[]): void {
    const { sourceId, lastSeq } = this.#keeping;
    this.#diagnose(
      "error",
      "SECLOG_SPOOL_LOST",
      `another process took over the spool of ${sourceId}, or it is gone: going on with a new source`,
    );
    this.#openAgain({ last: { sourceId, lastSeq }, pending, pause: FIRST_PAUSE_MS });
  }

  #openAgain({ last, pending, pause }: Omit<BetweenSpools, "error" | "timer">): void {
    clearTimeout(this.#between?.timer);
    try {
      this.#keeping = this.#openNext();
    } catch (thrown) {
      const error =
        thrown instanceof SeclogError ? thrown : new SeclogError("SECLOG_SPOOL_DIRECTORY", errorMessage(thrown));
      this.#diagnose("error", error.code, `${error.message}; until then no event is taken`);
      const next = { last, pending, error, pause: Math.min(LONGEST_PAUSE_MS, 2 * pause) };
      this.#between = { ...next, timer: setTimeout(() => this.#openAgain(next), pause).unref() };
      return;
    }
    this.#between = undefined;
    for (const record of pending) {
      const { sourceId, epoch, lastSeq } = this.#keeping;
      this.#keeping.append(encodeEvent({ ...decodeEvent(record), sourceId, epoch, seq: lastSeq + 1 }));
    }
    this.#own("log_started", {
      pid: process.pid,
      node: process.version,
      previous: { source_id: last.sourceId, last_seq: last.lastSeq },
    });
  }

  /** The log ends. What is nowhere is dropped, and counted, and what may be nowhere is told; nobody was told that it was safe. */
  #tellLeft(): void {
    const between = this.#between;
    const { unwritten, doubtful, error } =
      between === undefined ? this.#keeping.left() : { unwritten: between.pending, doubtful: 0, error: between.error };
    if (between !== undefined) {
      clearTimeout(between.timer);
      this.#between = { ...between, pending: [] };
    }
    for (const record of unwritten) this.#drops.count(decodeEvent(record).type, error.message);
    const parts = [
      ...(unwritten.length > 0 ? [`${unwritten.length} events were not written and are dropped`] : []),
      ...(doubtful > 0 ? [`of ${doubtful} events it is not known whether they are kept`] : []),
    ];
    if (parts.length === 0) return;
    const message = `${parts.join(", and ")}: ${error.message}`;
    this.#diagnostics.tell({ level: "error", code: error.code, message }, false);
  }

  /** Whatever it is given, a log closes. */
  #closeDeadline(options: { readonly deadline?: number }): number {
    try {
      return deadlineOf("close", options, CLOSE_MS);
    } catch (error) {
      this.#diagnose("error", "SECLOG_CONFIG", `${errorMessage(error)}; waiting ${CLOSE_MS} ms`);
      return CLOSE_MS;
    }
  }

  async #close(deadline: number): Promise<void> {
    if (this.#between !== undefined) this.#openAgain(this.#between);
    this.#ending = true;
    this.#tellDrops();
    clearInterval(this.#heartbeat);
    this.#watch.end();
    this.#own("log_stopped", this.#counts());
    openLogs.delete(this);
    if (openLogs.size === 0) process.off("exit", onProcessExit);
    // From here on nothing is recorded; `#closing` is set when this function first awaits.
    let keeping: Keeping;
    do {
      keeping = this.#keeping;
      await keeping.close(deadline);
      // Its last sync may have found that it was taken over: then there is another one.
    } while (keeping !== this.#keeping);
    this.#tellLeft();
    await this.#keeping.closeHandlers();
    this.#releaseExclusive();
    // Whoever waited for this may end the process next.
    this.#diagnostics.giveNow();
  }

  #counts(): { recorded: number; belowLevel: number; dropped: number } {
    return { recorded: this.#recorded, belowLevel: this.#belowLevel, dropped: this.#drops.total };
  }

  #diagnose(level: Diagnostic["level"], code: Diagnostic["code"], message: string, handler?: string): void {
    this.#diagnostics.tell({ level, code, message, ...(handler === undefined ? {} : { handler }) });
  }
}

/** @throws SeclogError `SECLOG_CONFIG` */
function deadlineOf(where: string, options: { readonly deadline?: number }, otherwise: number): number {
  const { deadline } = options;
  if (deadline === Number.POSITIVE_INFINITY) return LONGEST_MS;
  return wholeNumber(where, "deadline", deadline, { default: otherwise, min: 0, max: LONGEST_MS });
}

/** A log of the thread that ships would record what it ships, and start threads that do the same. */
function shipperThreadError(): SeclogError {
  return new SeclogError(
    "SECLOG_CONFIG",
    "createSecurityLog: this is the thread that ships another log, and a handler's module or a bundle has brought the " +
      "application into it: keep handlers in modules of their own; docs/deploy.md has the lines for each bundler",
  );
}

function closed(): SeclogError {
  return new SeclogError("SECLOG_CLOSED", "the log is closed: create it once, close it last");
}
