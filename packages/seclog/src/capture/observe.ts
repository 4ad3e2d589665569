/**
 * The judgement that all frameworks share: one request is observed from its arrival to the end of its response, and
 * what it was refused for is recorded once.
 *
 * An adapter opens the observation, reports the errors that it sees pass, and knows the application's routes. When the
 * response ends, the facts are taken. The judgement waits until the code has run that the end of the response sets
 * off (`finish`, Fastify's `onResponse`, what stands behind `res.sendStatus`), since the application may record the
 * refusal there. Then the first of these that applies decides:
 *
 * 1. an error with a meaning of its own passed by (CSRF, a webhook's signature, a body that cannot be read);
 * 2. the application recorded an event that explains the refusal;
 * 3. the status (429, 401, 403, 413, 414, 415, 431, 405, 501);
 * 4. the path belongs to routes of other methods, and none of them answered: `illegal_request_method`, whatever the
 *    status. It comes before a body that cannot be read, where the framework reads bodies that no route would get.
 *
 * Nothing here may change what the application does: every entry point swallows its own failures.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { CatalogueData } from "../event/catalogue.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { awaitJudgement, causesOf, judged, openCauses, RequestCauses } from "../record/causes.ts";
import { currentContext, type RequestContext, runInContext } from "../record/context.ts";
import { peerOfSocket } from "../record/peer.ts";
import { DETECTED, DETECTORS, type Detector, errorStatus, REFUSALS, type Refusal, refusalOf } from "./refusal.ts";

/** The log that capture records to: any `SecurityLog`, whatever its own events are. */
export interface CaptureLog {
  readonly recordSecurityEvent: (
    type: keyof CatalogueData,
    request: object | null | undefined,
    data: CaptureFacts,
  ) => unknown;
}

/** What capture says about an event. */
export type CaptureFacts = { readonly [key: string]: unknown };

/** What every adapter takes. */
export interface CaptureOptions {
  /**
   * Which detectors are on: `{ wrongMethod: false }` turns one off.
   * @default every one is on
   */
  readonly detect?: { readonly [D in Detector]?: boolean | undefined } | undefined;
  /**
   * Whether calls of `recordSecurityEvent` that pass no request find the current one, by `AsyncLocalStorage`. Costs a
   * microsecond or so per request.
   * @default true
   */
  readonly context?: boolean | undefined;
}

/** What an application's routes say about a request that none of them took. */
export interface OtherMethods {
  /** The methods that the path does have, in the order of registration. */
  readonly allowed: readonly string[];
  /** The template of the first of those routes. */
  readonly route?: string | undefined;
}

/** What only the adapter of a framework knows. */
export interface RouteKnowledge {
  /** The methods of the routes at the request's path, or `undefined` when there are none or the method is among them. */
  otherMethods(request: object, statusCode: number): OtherMethods | undefined;
  /** Whether a 400 says that the request itself is malformed, because no code of the application answered it. */
  readonly badRequest?: boolean;
}

/** The log and options of one installed capture. */
export class Capture {
  readonly log: CaptureLog;
  readonly context: boolean;
  readonly #off: ReadonlySet<Detector>;

  /** @throws SeclogError `SECLOG_CONFIG` for a log that is none and for an unknown option or detector. */
  constructor(log: CaptureLog, options: CaptureOptions = {}) {
    if (typeof log?.recordSecurityEvent !== "function") {
      throw configError("securityCapture", "log", "must be what createSecurityLog returned");
    }
    rejectUnknownOptions("securityCapture", options, ["detect", "context"]);
    const { detect = {}, context = true } = options;
    rejectUnknownOptions("securityCapture: detect", detect, DETECTORS);
    for (const [key, value] of Object.entries({ ...detect, context })) {
      if (typeof value !== "boolean" && value !== undefined) {
        throw configError("securityCapture", key, `must be true or false, not ${String(value)}`);
      }
    }
    this.log = log;
    this.context = context;
    this.#off = new Set(DETECTORS.filter((detector) => detect[detector] === false));
  }

  detects(detector: Detector): boolean {
    return !this.#off.has(detector);
  }

  /** Records what a detector found. Never throws, also when the log does (delivery `"strict"`). */
  record(detector: Detector, request: object, facts: CaptureFacts): void {
    if (this.#off.has(detector)) return;
    try {
      this.log.recordSecurityEvent(DETECTED[detector], request, facts);
    } catch {
      // The log reports its own failures to its diagnostics; the response has been given.
    }
  }
}

/** Something that the response was refused for, unless the application said so itself. */
interface Finding {
  readonly detector: Detector;
  readonly facts: CaptureFacts;
  /** Whether only an event of the same type says so; others may explain a status, but not an error. */
  readonly byError: boolean;
}

/**
 * The longest time for which a judgement waits for the response to be handed to the operating system, in milliseconds:
 * a client that does not read must not be able to put its event off.
 */
const LONGEST_WAIT_MS = 1_000;

/** One request on its way through the application. */
export class Observation extends RequestCauses {
  /** What is passed to the log: the framework's own request where there is one. */
  override request: object;
  routes: RouteKnowledge | undefined;
  /** Where the framework began to answer the request, for frameworks that lose it on the way. */
  context: RequestContext | undefined;
  /** Whether the framework said that no route takes this request. */
  unrouted = false;
  /** The headers that the application gave to `writeHead`. */
  head: unknown;
  readonly #capture: Capture;
  readonly #response: ServerResponse;
  #refusals: Refusal[] | undefined;
  #lastError: unknown;
  /** Whether an error passed that is no "not found" or "method not allowed". */
  #failed = false;
  #layer: object | undefined;
  #ended = false;
  #findings: readonly Finding[] = [];
  #endContext: RequestContext | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(capture: Capture, request: object, response: ServerResponse) {
    super();
    this.#capture = capture;
    this.request = request;
    this.#response = response;
  }

  /** The layer of middleware that the request came to last before it was answered, for frameworks that have them. */
  get layer(): object | undefined {
    return this.#layer;
  }

  reached(layer: object): void {
    if (!this.#ended) this.#layer = layer;
  }

  /** An error passes through the application's middleware. Called as often as somebody sees it. */
  sawError(error: unknown): void {
    if (error === this.#lastError || this.#ended) return;
    this.#lastError = error;
    const refusal = refusalOf(error);
    if (refusal === undefined) {
      const status = errorStatus(error);
      if (status !== 404 && status !== 405 && status !== 501) this.#failed = true;
    } else if (!this.#refusals?.some(({ detector }) => detector === refusal.detector)) {
      this.#refusals ??= [];
      this.#refusals.push(refusal);
    }
  }

  /**
   * The response has ended, or nobody is there any more to get it.
   *
   * @param closed whether nothing will come of it any more
   */
  end(closed: boolean): void {
    if (this.#ended) return;
    const response = this.#response;
    const { statusCode, headersSent, writableEnded } = response;
    // The client went away before there was an answer: `prefinish` comes when the application gives one.
    if (!headersSent && !writableEnded) return;
    this.#ended = true;
    if (statusCode < 400 && this.#refusals === undefined && !this.unrouted) return;
    try {
      this.#findings = this.#judge(statusCode);
    } catch {
      // A response or a router that is not what its framework makes: there is nothing to say about it.
    }
    if (this.#findings.length === 0) return;
    this.#endContext = currentContext();
    awaitJudgement(this.#record);
    // Behind everything that the end sets off and that waits for nothing outside, but before the next request is read, so
    // that events keep the order of their requests.
    const soon = (): void => queueMicrotask(() => process.nextTick(this.#record));
    if (closed || response.writableFinished || response.destroyed) {
      soon();
      return;
    }
    response.once("finish", soon);
    response.once("close", soon);
    this.#timer = setTimeout(this.#record, LONGEST_WAIT_MS).unref();
  }

  /** Records what was found, where the application did not. */
  readonly #record = (): void => {
    clearTimeout(this.#timer);
    judged(this.#record);
    const findings = this.#findings;
    this.#findings = [];
    const record = (): void => {
      for (const { detector, facts, byError } of findings) {
        const explained = byError ? this.types.includes(DETECTED[detector]) : this.#explained();
        if (!explained) this.#capture.record(detector, this.request, facts);
      }
    };
    // The end of the response knew who sends the request; what follows it may not.
    if (this.#endContext === undefined) record();
    else runInContext(this.#endContext, record);
  };

  #explained(): boolean {
    return this.types.some((type) => REFUSALS.has(type));
  }

  #judge(statusCode: number): readonly Finding[] {
    if (this.#refusals !== undefined) {
      return this.#refusals.flatMap(({ detector, facts }) => {
        const method = detector === "malformed" && this.unrouted ? this.#judgeMethod(statusCode, false) : [];
        return method.length > 0 ? method : [{ detector, facts: { ...facts, statusCode }, byError: true }];
      });
    }
    if (this.#explained()) return [];
    const detector = this.#detectorOf(statusCode);
    if (detector === "wrongMethod") return this.#judgeMethod(statusCode, true);
    if (detector !== undefined) {
      return [{ detector, facts: { ...this.#factsOf(detector), statusCode }, byError: false }];
    }
    const routed = !this.unrouted && (this.#failed || (statusCode >= 500 && statusCode !== 501));
    return routed ? [] : this.#judgeMethod(statusCode, false);
  }

  #detectorOf(statusCode: number): Detector | undefined {
    if (statusCode >= 400 && this.#rateLimitExceeded(statusCode)) return "rateLimit";
    if (statusCode === 400 && this.routes?.badRequest) return "malformed";
    return STATUS_DETECTORS.get(statusCode);
  }

  #factsOf(detector: Detector): CaptureFacts {
    if (detector === "rateLimit") return { max: this.#rateLimitMaximum() };
    if (detector === "unauthenticated") return { scheme: schemeOf(this.#header("www-authenticate")) };
    return {};
  }

  /** A header of the response, wherever it was set. `getHeader` does not know what was only given to `writeHead`. */
  #header(name: string): unknown {
    return this.#response.getHeader(name) ?? headerIn(this.head, name);
  }

  /**
   * `express-rate-limit` with a status of its own, and the ban of `@fastify/rate-limit`, which answers 403 with the
   * headers of an exhausted limit.
   */
  #rateLimitExceeded(statusCode: number): boolean {
    const { limit, used } = rateLimitInfo(this.request);
    if (typeof limit === "number" && typeof used === "number" && used > limit) return true;
    if (statusCode !== 403 || this.#header("retry-after") === undefined) return false;
    const remaining = this.#header("x-ratelimit-remaining") ?? this.#header("ratelimit-remaining");
    return remaining === 0 || remaining === "0";
  }

  #rateLimitMaximum(): number | undefined {
    const { limit } = rateLimitInfo(this.request);
    const value = limit ?? this.#header("x-ratelimit-limit") ?? this.#header("ratelimit-limit");
    const max = typeof value === "string" ? Number.parseInt(value, 10) : value;
    return typeof max === "number" && Number.isFinite(max) ? max : undefined;
  }

  /** @param answered whether the application itself said that the method is the reason */
  #judgeMethod(statusCode: number, answered: boolean): readonly Finding[] {
    if (!this.#capture.detects("wrongMethod")) return [];
    const other = this.routes?.otherMethods(this.request, statusCode);
    if (other === undefined && !answered) return [];
    const facts = {
      statusCode,
      allowedMethods: this.#header("allow") ?? other?.allowed.join(", "),
      ...(other?.route !== undefined && { route: other.route }),
    };
    return [{ detector: "wrongMethod", facts, byError: false }];
  }
}

const STATUS_DETECTORS: ReadonlyMap<number, Detector> = new Map([
  [401, "unauthenticated"],
  [403, "forbidden"],
  [405, "wrongMethod"],
  [413, "malformed"],
  [414, "malformed"],
  [415, "malformed"],
  [429, "rateLimit"],
  [431, "malformed"],
  [501, "wrongMethod"],
]);

/**
 * Observes a request until its response ends, unless it is observed already.
 *
 * `prefinish` comes within `response.end()`, also when the client is gone by then, so that nobody hides a refusal by
 * hanging up. A response that is torn down half way only gives `close`, and so does HTTP/2.
 */
export function observe(
  capture: Capture,
  raw: IncomingMessage,
  response: ServerResponse,
  request: object,
): Observation {
  const known = causesOf(raw);
  if (known instanceof Observation) return known;
  const observation = new Observation(capture, request, response);
  // Asked for now, since a connection may be closed by the time of the judgement: by the end of the answer, by a client
  // that hangs up, and always for HTTP/2. A connection asks the system once.
  observation.peer = peerOfSocket(raw.socket);
  openCauses(raw, observation);
  response.on("prefinish", () => observation.end(false));
  response.on("close", () => observation.end(true));
  rememberHead(response, observation);
  return observation;
}

/** Keeps what `writeHead` is given, as Fastify gives it all headers: Node composes the head of it and forgets it. */
function rememberHead(response: ServerResponse, observation: Observation): void {
  const writeHead = response.writeHead as (...values: unknown[]) => ServerResponse;
  response.writeHead = function (this: unknown, ...values: unknown[]) {
    // The headers come last, behind the status and perhaps its text.
    observation.head = values.length > 1 ? values.at(-1) : undefined;
    return Reflect.apply(writeHead, this, values);
  };
}

/** The observation of a request, when capture saw it arrive. */
export function observationOf(request: object): Observation | undefined {
  const known = causesOf(request);
  return known instanceof Observation ? known : undefined;
}

/** What `express-rate-limit` leaves on the request. */
interface RateLimitInfo {
  readonly limit?: unknown;
  readonly used?: unknown;
}

function rateLimitInfo(request: object): RateLimitInfo {
  const { rateLimit } = request as { readonly rateLimit?: RateLimitInfo };
  return typeof rateLimit === "object" && rateLimit !== null ? rateLimit : {};
}

/**
 * One header of what `writeHead` takes: an object, a list of pairs, or a list where names and values take turns. The
 * last one of a name.
 */
function headerIn(head: unknown, name: string): unknown {
  if (typeof head !== "object" || head === null) return undefined;
  let found: unknown;
  const take = (key: unknown, value: unknown): void => {
    if (String(key).toLowerCase() === name) found = value;
  };
  if (!Array.isArray(head)) for (const [key, value] of Object.entries(head)) take(key, value);
  else if (Array.isArray(head[0])) for (const [key, value] of head as unknown[][]) take(key, value);
  else for (let at = 0; at < head.length; at += 2) take(head[at], head[at + 1]);
  return found;
}

/** `Bearer` of `WWW-Authenticate: Bearer realm="shop"`. */
function schemeOf(header: unknown): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  return typeof text === "string" ? /^[\w-]{1,32}/.exec(text)?.[0] : undefined;
}
