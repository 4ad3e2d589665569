/** Joins the floors: a call is recorded (record), written (spool) and delivered to the handlers (ship). */

import type { EventDefinitions } from "../event/definition.ts";
import type { Durability } from "../event/durability.ts";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { type Level, levelRank } from "../event/level.ts";
import { openPipeline } from "../pipeline/open-pipeline.ts";
import type { Pipeline, PipelineNews } from "../pipeline/pipeline.ts";
import { eventClock } from "../record/clock.ts";
import { createDataEncoder } from "../record/data.ts";
import type { EventType } from "../record/facts.ts";
import type { Health } from "../record/health.ts";
import { IDENTIFY, type Identity } from "../record/identity.ts";
import { judgeNow } from "../record/judgements.ts";
import { NEXT_SEQ, ON_BEHALF, type OnBehalf, type RecordOnBehalf } from "../record/on-behalf.ts";
import { NO_REQUEST, Recorder, type RecorderOptions } from "../record/recorder.ts";
import type { Diagnostic, SecurityLog } from "../record/security-log.ts";
import { uuidv7 } from "../record/uuid.ts";
import { clearInterval, setInterval } from "../runtime/timers.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { idle, type ShippingHealth, type SpoolHealth } from "../ship/news.ts";
import { isShipperThread } from "../ship/protocol.ts";
import { CLOSE_MS, deadlineOf, FLUSH_MS } from "./deadlines.ts";
import { inDevelopment } from "./development.ts";
import { Diagnostics } from "./diagnostics.ts";
import { takeExclusive } from "./exclusive.ts";
import { healthOf } from "./health.ts";
import { closedError, Intake } from "./intake.ts";
import { Logins } from "./logins.ts";
import { forget, remember } from "./open-logs.ts";
import { assertLevel, checkedOptions, type DevelopmentLogOptions, type SecurityLogOptions } from "./options.ts";
import { OwnReports } from "./own-reports.ts";
import { Reopening } from "./reopening.ts";
import { LogWatch } from "./watch.ts";

/**
 * Opens a named log. This opens the spool but does not touch the network: the handlers connect on a thread of their
 * own, when the first events reach it.
 *
 * Without `handlers`, and unless `NODE_ENV` is `production`, the events are printed to standard output and kept nowhere:
 * to see something before there is a database. It says so once, on standard error.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault; `SECLOG_SPOOL_DIRECTORY`
 */
export function createSecurityLog<Events extends EventDefinitions = Record<never, never>>(
  options: SecurityLogOptions<Events> | DevelopmentLogOptions<Events> = {},
): SecurityLog<Events> {
  // Where this is not development, what is missing is refused.
  return new OpenLog<Events>(inDevelopment(options) as SecurityLogOptions<Events>);
}

class OpenLog<Events extends EventDefinitions> implements SecurityLog<Events>, OnBehalf {
  readonly name: string;
  #level: Level;
  readonly #handlers: readonly SecurityEventHandler[];
  readonly #recorderOptions: RecorderOptions;
  readonly #recorder: Recorder;
  readonly #durability: ReadonlyMap<string, Durability>;
  readonly #diagnostics: Diagnostics;
  readonly #intake: Intake;
  readonly #heartbeat: NodeJS.Timeout | undefined;
  readonly #watch: LogWatch;
  readonly #releaseExclusive: () => void;
  readonly #reopening: Reopening;
  #shipping: readonly ShippingHealth[];
  #spoolHealth: SpoolHealth = {};
  readonly #reports = new OwnReports();
  readonly #logins: Logins | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SecurityLogOptions<Events>) {
    if (isShipperThread()) throw shipperThreadError();
    const { level, events, spool, heartbeat, redactor, ...checked } = checkedOptions(options, (message) =>
      this.#diagnostics.report({ level: "warning", code: "SECLOG_CLIENT_ADDRESS", message }, false),
    );
    this.name = checked.name;
    this.#level = level;
    this.#handlers = checked.handlers;
    this.#durability = checked.durability;
    this.#diagnostics = new Diagnostics(options.diagnostics);
    this.#recorderOptions = {
      logger: this.name,
      service: checked.service,
      environment: checked.environment,
      host: checked.host,
      events,
      clock: eventClock(),
      clientIp: checked.clientIp,
      redactor,
      encodeData: createDataEncoder(redactor),
    };
    this.#recorder = new Recorder(this.#recorderOptions);
    this.#intake = new Intake({
      recorder: this.#recorder,
      durability: checked.durability,
      throwOnFull: checked.throwOnFull,
      threshold: levelRank(level),
      reopening: () => this.#reopening,
      diagnose: (...diagnostic) => this.#diagnose(...diagnostic),
    });
    if (checked.failedLogins !== undefined) {
      this.#logins = new Logins(checked.failedLogins, this.#recorder, (...call) =>
        this.#intake.recordIfEnabled(...call),
      );
    }
    this.#shipping = this.#handlers.map(({ name }) => idle(name));
    this.#releaseExclusive = takeExclusive(this.#handlers, this.name);
    try {
      this.#reopening = new Reopening(
        () => openPipeline(spool, uuidv7(eventClock().now()), this.#handlers, (news) => this.#onNews(news)),
        {
          lost: ({ sourceId }) =>
            this.#diagnose(
              "error",
              "SECLOG_SPOOL_LOST",
              `another process took over the spool of ${sourceId}, or it is gone: continuing with a new source`,
            ),
          failed: ({ code, message }) =>
            this.#diagnose("error", code, `${message}; events are refused until a spool opens`),
          reopened: ({ sourceId, lastSeq }) =>
            this.#intake.own("log_started", {
              pid: process.pid,
              node: process.version,
              previous: { source_id: sourceId, last_seq: lastSeq },
            }),
        },
      );
    } catch (error) {
      this.#releaseExclusive();
      throw error;
    }
    remember(this);
    this.#intake.own("log_started", { pid: process.pid, node: process.version, level });
    if (heartbeat !== undefined) {
      this.#heartbeat = setInterval(() => this.#intake.own("log_heartbeat", this.#intake.counts), heartbeat).unref();
    }
    this.#watch = new LogWatch(
      spool !== "memory",
      () => this.health(),
      (...diagnostic) => this.#diagnose(...diagnostic),
    );
  }

  get sourceId(): string {
    return this.#reopening.current.sourceId;
  }

  readonly recordSecurityEvent: SecurityLog<Events>["recordSecurityEvent"] = (type, request, data) => {
    const resolved = this.#recorder.resolve(type);
    return this.#logins === undefined
      ? this.#intake.recordIfEnabled(resolved, request, data)
      : this.#logins.record(resolved, request, data);
  };

  get [NEXT_SEQ](): number {
    return this.#reopening.current.lastSeq + 1;
  }

  readonly [ON_BEHALF]: OnBehalf[typeof ON_BEHALF] = (origin) => {
    const { logger = this.name, service, environment, host } = origin;
    const recorder = new Recorder({ ...this.#recorderOptions, logger, service, environment, host });
    const record: RecordOnBehalf = (type, request, data) =>
      this.#intake.recordIfEnabled(recorder.resolve(type), request ?? NO_REQUEST, data, recorder);
    return record;
  };

  readonly [IDENTIFY] = (type: string, request: object): Identity => {
    const { name, definition } = this.#recorder.resolve(type);
    const foldable = (this.#durability.get(name) ?? definition.durability) !== "strict";
    return { ...this.#recorder.identify(request), foldable };
  };

  get level(): Level {
    return this.#level;
  }

  set level(level: Level) {
    assertLevel("SecurityLog", level);
    const previous = this.#level;
    if (level === previous) return;
    this.#level = level;
    this.#intake.threshold = levelRank(level);
    if (this.#closing === undefined) this.#intake.own("log_level_changed", { level, previous });
  }

  isEnabled(type: EventType<Events>): boolean {
    const { definition } = this.#recorder.resolve(type);
    return definition.category === "log" || levelRank(definition.level) >= this.#intake.threshold;
  }

  async flush(options: { readonly deadline?: number } = {}): Promise<void> {
    const deadline = deadlineOf("flush", options, FLUSH_MS);
    judgeNow();
    const pipeline = this.#reopening.current;
    const wanted = pipeline.lastSeq;
    if (this.#closing !== undefined) {
      await this.#closing;
      if (pipeline.stored >= wanted) return;
      throw closedError();
    }
    if (!(await pipeline.flush(deadline))) {
      throw new SeclogError(
        "SECLOG_DEADLINE",
        `${wanted - pipeline.stored} events were not stored within ${deadline} ms: they stay in the spool; health() says what holds them up`,
      );
    }
  }

  close(options: { readonly deadline?: number } = {}): Promise<void> {
    if (this.#closing === undefined) {
      judgeNow();
      this.#closing = this.#close(this.#closeDeadline(options));
      this.#intake.isClosed = true;
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  health(): Health {
    return healthOf({
      pipeline: this.#reopening.current,
      shipping: this.#shipping,
      spool: this.#spoolHealth,
      failure: this.#reopening.error ?? this.#reopening.current.failure,
      dropping: this.#intake.dropping,
      counts: this.#intake.counts,
    });
  }

  /** The process exits without `close()`: writes and syncs what this turn recorded. */
  processEnds(): void {
    judgeNow();
    this.#intake.isEnding = true;
    this.#intake.reportDrops();
    this.#intake.own("log_stopped", { ...this.#intake.counts, reason: "the process ended without closing the log" });
    // Refuse what later `exit` listeners record: it could no longer be written.
    this.#closing ??= Promise.resolve();
    this.#intake.isClosed = true;
    this.#reopening.current.abandon();
    this.#reportLeftOver();
    this.#diagnostics.deliverNow();
  }

  /** What the pipeline reports. */
  #onNews(news: PipelineNews): void {
    switch (news.type) {
      case "acknowledged":
        this.#shipping = this.#shipping.with(news.handler, news.health);
        break;
      case "health":
        this.#shipping = news.handlers;
        this.#spoolHealth = news.spool;
        break;
      case "failed":
        this.#diagnose(news.kind === "destination" ? "error" : "warning", news.code, news.message, news.handler);
        break;
      case "quarantined": {
        const { handler, source, seq, reason } = news;
        const message = `event ${seq} of ${source} is in quarantine: ${reason}`;
        this.#diagnose("error", "SECLOG_EVENT_REJECTED", message, handler);
        if (this.#reports.has(source, seq, news.event)) return;
        this.#intake.own("event_quarantined", { handler, source_id: source, seq, reason });
        this.#reports.add(this.sourceId, this.#reopening.current.lastSeq);
        break;
      }
      case "seized": {
        const { handler, source, seq, successor, message } = news;
        this.#diagnose("error", "SECLOG_SOURCE_SEIZED", message, handler);
        this.#intake.own("source_seized", { handler, source_id: source, last_seq: seq, successor_id: successor });
        break;
      }
      case "freed":
        this.#intake.reportDrops();
        break;
      case "recovered":
        this.#diagnose("info", "SECLOG_RECOVERED", "the spool can be written again");
        this.#intake.reportDrops();
        break;
      case "lost":
        this.#reopening.lose(news.pending);
        break;
      default:
        news satisfies never;
    }
  }

  /**
   * At the end, events that reached no storage count as dropped, and those that may not have are reported. None had
   * been acknowledged as durable.
   */
  #reportLeftOver(): void {
    const { unwritten, doubtful, error } = this.#reopening.end();
    this.#intake.dropUnwritten(unwritten, error);
    const parts = [
      ...(unwritten.length > 0 ? [`${unwritten.length} events were not written and are dropped`] : []),
      ...(doubtful > 0 ? [`${doubtful} events may not have been stored`] : []),
    ];
    if (parts.length === 0) return;
    const message = `${parts.join(", and ")}: ${error.message}`;
    this.#diagnostics.report({ level: "error", code: error.code, message }, false);
  }

  /** Reports an invalid deadline rather than throwing, so that the log closes in any case. */
  #closeDeadline(options: { readonly deadline?: number }): number {
    try {
      return deadlineOf("close", options, CLOSE_MS);
    } catch (error) {
      this.#diagnose("error", "SECLOG_CONFIG", `${errorMessage(error)}; waiting ${CLOSE_MS} ms`);
      return CLOSE_MS;
    }
  }

  async #close(deadline: number): Promise<void> {
    this.#reopening.tryNow();
    this.#intake.isEnding = true;
    this.#intake.reportDrops();
    clearInterval(this.#heartbeat);
    this.#watch.end();
    this.#intake.own("log_stopped", this.#intake.counts);
    forget(this);
    // Nothing is recorded from here on: the intake is closed once this function first awaits.
    let pipeline: Pipeline;
    do {
      pipeline = this.#reopening.current;
      await pipeline.close(deadline);
      // If its last sync found that it was taken over, a new pipeline has replaced it.
    } while (pipeline !== this.#reopening.current);
    this.#reportLeftOver();
    await this.#reopening.current.closeHandlers();
    this.#releaseExclusive();
    // The caller may exit as soon as this resolves.
    this.#diagnostics.deliverNow();
  }

  #diagnose(level: Diagnostic["level"], code: Diagnostic["code"], message: string, handler?: string): void {
    this.#diagnostics.report({ level, code, message, ...(handler === undefined ? {} : { handler }) });
  }
}

/** A log on the shipper's thread would record what it ships, and start threads that do the same. */
function shipperThreadError(): SeclogError {
  return new SeclogError(
    "SECLOG_CONFIG",
    "createSecurityLog: this is the thread that ships another log, and a handler's module or a bundle has loaded the " +
      "application into it: keep handlers in modules of their own; docs/deploy.md shows how for each bundler",
  );
}
