/**
 * What all frameworks share: one request is observed from its arrival to the end of its response, and what it was refused for
 * (`judge.ts`) is recorded once.
 *
 * An adapter opens the observation, reports the errors that it sees pass, and knows the application's routes. When the
 * response ends, the request is judged. The finding waits until the code has run that the end of the response sets off
 * (`finish`, Fastify's `onResponse`, what stands behind `res.sendStatus`), since the application may record the refusal there.
 *
 * Nothing here may change what the application does: every entry point swallows its own failures.
 */
import type { EventEmitter } from "node:events";
import { IncomingMessage, type ServerResponse } from "node:http";
import { causesOf, openCauses, RequestCauses } from "../record/causes.ts";
import { bindEvents, currentContext, type RequestContext, runInContext } from "../record/context.ts";
import { awaitJudgement, judged } from "../record/judgements.ts";
import { peerOfSocket } from "../record/peer.ts";
import { nextTick, queueMicrotask } from "../runtime/timers.ts";
import type { Finding } from "./answered.ts";
import type { Capture } from "./capture.ts";
import { DETECTED, REFUSALS } from "./detectors.ts";
import { isSuspicious, judge } from "./judge.ts";
import { callAtLatest, callOff } from "./latest.ts";
import { observePrototypes } from "./prototypes.ts";
import { errorName, errorStatus, type Refusal, refusalOf } from "./refusal.ts";
import { isNodes, ObservedResponse } from "./response.ts";
import type { RouteKnowledge } from "./routes.ts";

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
  /** Whether an error passed other than "not found" and "method not allowed". */
  #failed = false;
  /** The layer of middleware that the request came to last before it was answered. */
  #layer: object | undefined;
  #ended = false;
  #findings: readonly Finding[] = [];
  #endContext: RequestContext | undefined;
  /** The judgement waits for the response to be handed to the operating system. */
  #awaitsSent = false;

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
    observePrototypes();
    this.#response = new ObservedResponse(response);
    this.#response.onEnd((closed, answered) => this.#end(closed, answered));
  }

  /** Whether any other capture may have the request. */
  loose = false;

  /** A framework's capture takes over what the process's has begun. */
  adopt(capture: Capture): void {
    if (!this.loose) return;
    this.loose = false;
    this.#capture = capture;
    this.actor = capture.actor;
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
      if (!(this.#raw instanceof IncomingMessage)) bindEvents(this.#raw, this.#context);
      if (!isNodes(this.#rawResponse)) {
        bindEvents(this.#rawResponse, this.#context);
        const { stream } = this.#raw as { readonly stream?: EventEmitter };
        if (stream !== undefined) bindEvents(stream, this.#context);
      }
    }
    this.#context.request = this.request;
    return currentContext()?.request === this.request ? fn() : runInContext(this.#context, fn);
  }

  /** See `prototypes.ts`. */
  get bound(): RequestContext | undefined {
    return this.#context;
  }

  /** See `prototypes.ts`. */
  headWritten(values: readonly unknown[]): void {
    this.#response.headWritten(values);
  }

  /** See `prototypes.ts`. */
  responseEmits(event: unknown): void {
    if (event === "prefinish") this.#end(false, true);
    else if (event === "finish") this.#sent();
    else if (event === "close") {
      this.#end(true, this.#response.answered);
      this.#sent();
    }
  }

  /** The request came to a layer of middleware, for frameworks that have them. */
  reached(layer: object): void {
    if (!this.#ended) this.#layer = layer;
  }

  /** An error passes through the application's middleware. May be called several times for one error. */
  sawError(error: unknown): void {
    if (error === this.#lastError || this.#ended) return;
    this.#lastError = error;
    const refusal = refusalOf(error);
    if (refusal !== undefined) {
      this.sawRefusal(refusal);
      return;
    }
    const status = errorStatus(error);
    if (status !== 404 && status !== 405 && status !== 501) this.#failed = true;
  }

  /** Something with a meaning of its own refuses the request. Of a kind, the first one counts. */
  sawRefusal(refusal: Refusal): void {
    if (this.#ended || this.#refusals?.some(({ detector }) => detector === refusal.detector)) return;
    this.#refusals ??= [];
    this.#refusals.push(refusal);
  }

  /** The response has ended, or the client is gone. */
  #end(closed: boolean, answered: boolean): void {
    // The client may go away before there is an answer, and the application may give one all the same.
    if (this.#ended || !answered) return;
    this.#ended = true;
    const response = this.#response;
    const { statusCode } = response;
    const { headers } = this.#raw;
    const { traps } = this.#capture;
    const concerned = traps?.concern(this.#raw.method ?? "", this.#target(), statusCode) === true;
    if (!concerned && statusCode < 400 && this.#refusals === undefined && !this.unrouted && !isSuspicious(headers)) {
      return;
    }
    try {
      this.#findings = judge({
        statusCode,
        refusals: this.#refusals,
        explained: this.#explained(),
        unrouted: this.unrouted,
        failed: this.#failed,
        failure: errorName(this.#lastError),
        method: this.#raw.method ?? "",
        target: this.#target(),
        headers,
        request: this.request,
        layer: this.#layer,
        routes: this.routes,
        header: (name) => response.header(name),
        detects: (detector) => this.#capture.detects(detector),
        traps,
      });
    } catch {
      // A response or a router that is not what its framework makes: there is nothing to say about it.
    }
    if (this.request === this.#raw && this.routes?.dress !== undefined) {
      this.request = this.routes.dress(this.#raw);
      if (this.#context !== undefined) this.#context.request = this.request;
    }
    if (this.#findings.length === 0) {
      if (statusCode === 404 && !this.#explained()) this.#capture.countNotFound(this.request, this.peer);
      return;
    }
    this.#endContext = currentContext();
    awaitJudgement(this.#record);
    this.#awaitsSent = true;
    if (closed || response.over) {
      this.#sent();
      return;
    }
    response.onSent(() => this.#sent());
    // A client that does not read must not be able to put its event off.
    callAtLatest(this.#record);
  }

  /**
   * The response is handed to the operating system, or never will be. The event is recorded behind everything that this
   * sets off and that waits for nothing outside, but before the next request is read, so that events keep the order of
   * their requests.
   */
  #sent(): void {
    if (!this.#awaitsSent) return;
    this.#awaitsSent = false;
    queueMicrotask(() => nextTick(this.#record));
  }

  /** Express changes the URL on the way through its routers, and keeps the original. */
  #target(): string {
    return (this.#raw as { readonly originalUrl?: string }).originalUrl ?? this.#raw.url ?? "";
  }

  /** Records what was found, where the application did not. */
  readonly #record = (): void => {
    this.#awaitsSent = false;
    callOff(this.#record);
    judged(this.#record);
    const findings = this.#findings;
    this.#findings = [];
    const record = (): void => {
      for (const { detector, facts, byError } of findings) {
        const explained = this.types.includes(DETECTED[detector]) || (!byError && this.#explained());
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
}

/** Observes a request until its response ends, unless it already is. Throws if it is not one of Node's requests. */
export function observe(
  capture: Capture,
  raw: IncomingMessage,
  response: ServerResponse,
  request: object,
): Observation {
  const known = causesOf(raw);
  if (isObservation(known)) {
    known.adopt(capture);
    return known;
  }
  const observation = new Observation(capture, request, raw, response);
  openCauses(raw, observation);
  return observation;
}

/** Observes a request until the capture of its framework, which knows more of it, does so. Throws as `observe`. */
export function observeLoosely(capture: Capture, raw: IncomingMessage, response: ServerResponse): Observation {
  const known = causesOf(raw);
  if (isObservation(known)) return known;
  const observation = observe(capture, raw, response, raw);
  observation.loose = true;
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
