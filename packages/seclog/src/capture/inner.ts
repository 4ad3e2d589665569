/**
 * Protocols within HTTP, which answer 200 whatever happened: GraphQL and tRPC. What their errors say is recorded at once,
 * for the request that a capture of the server already observes, or for what the protocol knows of it.
 */
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { NoteTaker } from "../event/text.ts";
import { senderOf } from "../record/actor.ts";
import { subjectOf } from "../record/addressed-request.ts";
import { causesOf, openCauses, RequestCauses } from "../record/causes.ts";
import { currentContext, currentRequest } from "../record/context.ts";
import type { Party } from "../record/facts.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "./capture.ts";
import type { CaptureFacts } from "./capture-facts.ts";
import { DETECTED, type Detector, REFUSALS } from "./detectors.ts";

/** Options of a capture within HTTP. */
export interface InnerCaptureOptions extends Pick<CaptureOptions, "detect" | "fold"> {
  /**
   * Returns who sends an operation, from its context. Must return at once.
   * @default what authentication left on the request, else on the context: the id of `context.user`, as a capture of a
   *   server reads it
   */
  readonly actor?: { of(context: never): Party | null | undefined }["of"] | undefined;
}

export class InnerCapture {
  readonly #capture: Capture;
  readonly #actor: ((context: unknown) => unknown) | undefined;
  /** The types that captures of this kind recorded for a request: they do not explain another operation's refusal. */
  readonly #own = new WeakMap<RequestCauses, Set<string>>();

  /** @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector. */
  constructor(name: string, log: CaptureLog, options: InnerCaptureOptions) {
    rejectUnknownOptions(name, options, ["actor", "detect", "fold"]);
    const { actor, ...others } = options;
    if (actor !== undefined && typeof actor !== "function") {
      throw configError(name, "actor", `must be a function, not ${String(actor)}`);
    }
    this.#capture = new Capture(log, others);
    this.#actor = actor as ((context: unknown) => unknown) | undefined;
  }

  /**
   * Records what an error revealed, unless the application recorded it.
   *
   * @param given the request as the protocol knows it
   * @param context the operation's context
   */
  record(given: unknown, context: unknown, detector: Detector, facts: CaptureFacts): void {
    const request = requestOf(given);
    const causes = causesOf(request) ?? open(request);
    const own = this.#own.get(causes) ?? new Set();
    this.#own.set(causes, own);
    const type = DETECTED[detector];
    const explains = (one: string): boolean => (REFUSALS.has(one) || one === type) && !own.has(one);
    if (causes.types.some(explains)) return;
    own.add(type);
    const actor = this.#sender(request, context);
    this.#capture.record(detector, request, actor === undefined || actor === null ? facts : { actor, ...facts });
  }

  /** The sender according to the operation's context, if the request does not name one. */
  #sender(request: object, context: unknown): unknown {
    const notes = new NoteTaker();
    try {
      if (this.#actor !== undefined) return this.#actor(context);
      if (typeof context !== "object" || context === null) return undefined;
      const known = senderOf(subjectOf(request), currentContext(), notes);
      if (known !== undefined && known !== null) return undefined;
      return senderOf({ request: context, remoteAddress: undefined, causes: undefined }, undefined, notes);
    } catch {
      return undefined;
    }
  }
}

/** The request that a capture observes, if there is one: it has the address, and the events of the application. */
function requestOf(given: unknown): object {
  const object = typeof given === "object" && given !== null ? given : undefined;
  if (object !== undefined && causesOf(object) !== undefined) return object;
  return currentRequest() ?? object ?? {};
}

function open(request: object): RequestCauses {
  const causes = new RequestCauses();
  try {
    openCauses(request, causes);
  } catch {
    // A frozen request: each of its operations stands alone.
  }
  return causes;
}
