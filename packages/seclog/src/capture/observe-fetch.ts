/**
 * A request of the Fetch API, judged when its handler has returned a response. Such a request has no socket: whether the
 * client received the response is unknown, and its address comes from who calls.
 */
import { openCauses, RequestCauses } from "../record/causes.ts";
import { currentContext, type RequestContext, runInContext } from "../record/context.ts";
import { awaitJudgement, judged } from "../record/judgements.ts";
import { nextTick, queueMicrotask } from "../runtime/timers.ts";
import type { Finding } from "./answered.ts";
import type { Capture } from "./capture.ts";
import { DETECTED, REFUSALS } from "./detectors.ts";
import { isSuspicious, judge } from "./judge.ts";
import { errorName, errorStatus, type Refusal, refusalOf } from "./refusal.ts";
import type { RouteKnowledge } from "./routes.ts";

/** The part of a Fetch `Request` that is read. */
export interface FetchRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
}

export class FetchObservation extends RequestCauses {
  readonly #capture: Capture;
  readonly #request: FetchRequest;
  readonly #routes: RouteKnowledge | undefined;
  #refusals: Refusal[] | undefined;
  #lastError: unknown;
  #failed = false;
  #findings: readonly Finding[] = [];
  #endContext: RequestContext | undefined;

  /** @param subject what is passed to the log: the framework's own request where there is one */
  constructor(capture: Capture, subject: object, request: FetchRequest, routes?: RouteKnowledge) {
    super(capture.actor);
    this.#capture = capture;
    this.#request = request;
    this.#routes = routes;
    this.request = subject;
    openCauses(request, this);
  }

  /** Runs `fn` in the context of this request. */
  enter<Result>(fn: () => Result): Result {
    return runInContext({ request: this.request ?? this.#request }, fn);
  }

  /** An error passes through the application. */
  sawError(error: unknown): void {
    if (error === this.#lastError) return;
    this.#lastError = error;
    const refusal = refusalOf(error);
    if (refusal !== undefined) this.sawRefusal(refusal);
    else if (![404, 405, 501].includes(errorStatus(error) ?? 0)) this.#failed = true;
  }

  /** Something with a meaning of its own refuses the request. */
  sawRefusal(refusal: Refusal): void {
    this.#refusals = [...(this.#refusals ?? []), refusal];
  }

  /** The application has answered. */
  end(response: { readonly status: number; readonly headers: Headers }): void {
    const { status: statusCode } = response;
    const { method, url } = this.#request;
    const subject = this.request ?? this.#request;
    try {
      const agent = this.#request.headers.get("user-agent") ?? undefined;
      const { traps } = this.#capture;
      const concerned = traps?.concern(method, url, statusCode) === true || isSuspicious({ "user-agent": agent });
      if (statusCode < 400 && this.#refusals === undefined && !concerned) return;
      this.#findings = judge({
        statusCode,
        refusals: this.#refusals,
        explained: this.#explained(),
        unrouted: false,
        failed: this.#failed,
        failure: errorName(this.#lastError),
        method,
        target: url,
        headers: Object.fromEntries(this.#request.headers),
        request: subject,
        routes: this.#routes,
        header: (name) => response.headers.get(name) ?? undefined,
        detects: (detector) => this.#capture.detects(detector),
        traps,
      });
    } catch {
      // Not what Fetch makes: there is nothing to say about it.
    }
    if (this.#findings.length === 0) {
      if (statusCode === 404 && !this.#explained()) this.#capture.countNotFound(subject, undefined);
      return;
    }
    this.#endContext = currentContext();
    awaitJudgement(this.#record);
    // The application may record the refusal just behind its answer.
    queueMicrotask(() => nextTick(this.#record));
  }

  readonly #record = (): void => {
    judged(this.#record);
    const findings = this.#findings;
    this.#findings = [];
    const record = (): void => {
      for (const { detector, facts, byError } of findings) {
        const explained = this.types.includes(DETECTED[detector]) || (!byError && this.#explained());
        if (!explained) this.#capture.record(detector, this.request ?? this.#request, facts);
      }
    };
    if (this.#endContext === undefined) record();
    else runInContext(this.#endContext, record);
  };

  #explained(): boolean {
    return this.types.some((type) => REFUSALS.has(type));
  }
}
