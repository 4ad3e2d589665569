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
import type { EventEmitter } from "node:events";
import { type IncomingMessage, METHODS, type ServerResponse } from "node:http";
import { awaitJudgement, causesOf, judged, openCauses, RequestCauses } from "../record/causes.ts";
import { bindEvents, currentContext, type RequestContext, runInContext } from "../record/context.ts";
import { peerOfSocket } from "../record/peer.ts";
import { clearTimeout, nextTick, queueMicrotask, setTimeout } from "../runtime/timers.ts";
import type { Capture, CaptureFacts } from "./capture.ts";
import { DETECTED, type Detector, errorStatus, REFUSALS, type Refusal, refusalOf } from "./refusal.ts";
import { ObservedResponse } from "./response.ts";

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
  /**
   * For requests of which the framework has not said that the application answers them: whether its router refused the
   * request as malformed. The status of any other answer says nothing about those.
   */
  readonly refuses?: (request: object, statusCode: number) => boolean;
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
  /** By it an observation is known to other copies of this package, whose class is another one. */
  readonly observes: true = true;
  override request: object;
  routes: RouteKnowledge | undefined;
  /** Whether the framework said that no route takes this request. */
  unrouted = false;
  #capture: Capture;
  readonly #raw: IncomingMessage;
  readonly #rawResponse: ServerResponse;
  readonly #response: ObservedResponse;
  /** The one context of all code that answers this request; none until a capture wants one. */
  #context: RequestContext | undefined;
  #refusals: Refusal[] | undefined;
  #lastError: unknown;
  /** Whether an error passed that is no "not found" or "method not allowed". */
  #failed = false;
  #layer: object | undefined;
  #ended = false;
  #findings: readonly Finding[] = [];
  #endContext: RequestContext | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param request what is passed to the log: the framework's own request where there is one */
  constructor(capture: Capture, request: object, raw: IncomingMessage, response: ServerResponse) {
    super(capture.actor);
    this.#capture = capture;
    this.request = request;
    this.#raw = raw;
    this.#rawResponse = response;
    // Asked for now, since a connection may be closed by the time of the judgement: by the end of the answer, by a client
    // that hangs up, and always for HTTP/2. A connection asks the system once.
    this.peer = peerOfSocket(raw.socket);
    this.#response = new ObservedResponse(response);
    this.#response.onEnd((closed, answered) => this.#end(closed, answered));
  }

  /** The framework hands the request to a part of the application that has a capture of its own: its options count. */
  claim(capture: Capture, request: object, routes: RouteKnowledge): void {
    this.#capture = capture;
    this.actor = capture.actor;
    this.request = request;
    this.routes = routes;
  }

  /**
   * Runs `fn`, and from now on the listeners of the request's and the response's events, in the context of this request:
   * Node calls those from the connection, which knows nothing of it.
   */
  enter<Result>(fn: () => Result): Result {
    if (this.#context === undefined) {
      this.#context = { request: this.request };
      const { stream } = this.#raw as { readonly stream?: EventEmitter };
      for (const emitter of [this.#raw, this.#rawResponse, stream]) {
        if (emitter !== undefined) bindEvents(emitter, this.#context);
      }
    }
    this.#context.request = this.request;
    return currentContext()?.request === this.request ? fn() : runInContext(this.#context, fn);
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

  /** The response has ended, or nobody is there any more to get it. */
  #end(closed: boolean, answered: boolean): void {
    // The client may go away before there is an answer, and the application may give one all the same.
    if (this.#ended || !answered) return;
    this.#ended = true;
    const response = this.#response;
    const { statusCode } = response;
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
    const soon = (): void => queueMicrotask(() => nextTick(this.#record));
    if (closed || response.over) {
      soon();
      return;
    }
    response.onSent(soon);
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
    if (this.routes?.refuses !== undefined) return this.#judgeUnclaimed(statusCode, this.routes.refuses);
    const detector = this.#detectorOf(statusCode);
    if (detector === "wrongMethod") return this.#judgeMethod(statusCode, true);
    if (detector !== undefined) {
      return [{ detector, facts: { ...this.#factsOf(detector), statusCode }, byError: false }];
    }
    if (statusCode >= 400 && statusCode < 500 && this.#methodIsUnknown()) {
      return this.#judgeMethod(statusCode, true);
    }
    const routed = !this.unrouted && (this.#failed || (statusCode >= 500 && statusCode !== 501));
    return routed ? [] : this.#judgeMethod(statusCode, false);
  }

  /** Over HTTP/1.1 Node's parser refuses such a method, HTTP/2 leaves that to the application. */
  #methodIsUnknown(): boolean {
    return !KNOWN_METHODS.has(this.#raw.method ?? "");
  }

  /** Nobody knows whether code of the application answered: only what the router itself refuses is certain. */
  #judgeUnclaimed(statusCode: number, refuses: (request: object, statusCode: number) => boolean): readonly Finding[] {
    if (statusCode >= 400 && refuses(this.request, statusCode)) {
      return [{ detector: "malformed", facts: { statusCode }, byError: false }];
    }
    // Fastify's "not found" has no hooks for a method that it does not know.
    const unknown = statusCode === 404 && this.#methodIsUnknown();
    return this.unrouted || unknown ? this.#judgeMethod(statusCode, unknown) : [];
  }

  #detectorOf(statusCode: number): Detector | undefined {
    if (statusCode >= 400 && this.#rateLimitExceeded(statusCode)) return "rateLimit";
    return STATUS_DETECTORS.get(statusCode);
  }

  #factsOf(detector: Detector): CaptureFacts {
    if (detector === "rateLimit") return { max: this.#rateLimitMaximum() };
    if (detector === "unauthenticated") return { scheme: schemeOf(this.#response.header("www-authenticate")) };
    return {};
  }

  /**
   * `express-rate-limit` with a status of its own, and the ban of `@fastify/rate-limit`, which answers 403 with the
   * headers of an exhausted limit.
   */
  #rateLimitExceeded(statusCode: number): boolean {
    const { limit, used } = rateLimitInfo(this.request);
    if (typeof limit === "number" && typeof used === "number" && used > limit) return true;
    if (statusCode !== 403 || this.#response.header("retry-after") === undefined) return false;
    const remaining = this.#response.header("x-ratelimit-remaining") ?? this.#response.header("ratelimit-remaining");
    return remaining === 0 || remaining === "0";
  }

  #rateLimitMaximum(): number | undefined {
    const { limit } = rateLimitInfo(this.request);
    const value = limit ?? this.#response.header("x-ratelimit-limit") ?? this.#response.header("ratelimit-limit");
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
      allowedMethods: this.#response.header("allow") ?? other?.allowed.join(", "),
      ...(other?.route !== undefined && { route: other.route }),
    };
    return [{ detector: "wrongMethod", facts, byError: false }];
  }
}

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);

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

/** Observes a request until its response ends, unless it is observed already. Throws for what is no request of Node's. */
export function observe(
  capture: Capture,
  raw: IncomingMessage,
  response: ServerResponse,
  request: object,
): Observation {
  const known = causesOf(raw);
  if (isObservation(known)) return known;
  const observation = new Observation(capture, request, raw, response);
  openCauses(raw, observation);
  return observation;
}

function isObservation(known: RequestCauses | undefined): known is Observation {
  return known !== undefined && "observes" in known;
}

/** The observation of a request, when capture saw it arrive. */
export function observationOf(request: object): Observation | undefined {
  const known = causesOf(request);
  return isObservation(known) ? known : undefined;
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

/** `Bearer` of `WWW-Authenticate: Bearer realm="shop"`. */
function schemeOf(header: unknown): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  return typeof text === "string" ? /^[\w-]{1,32}/.exec(text)?.[0] : undefined;
}
