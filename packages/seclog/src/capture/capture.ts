/** One installed capture: the log that it records to, and its options. */
import type { IncomingMessage } from "node:http";
import type { CatalogueData } from "../event/catalogue.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { NoteTaker } from "../event/text.ts";
import { senderOf } from "../record/actor.ts";
import { ADDRESS_OF, type AddressKnowing } from "../record/address-of.ts";
import { subjectOf } from "../record/addressed-request.ts";
import { currentContext } from "../record/context.ts";
import type { Party } from "../record/facts.ts";
import { DETECTED, DETECTORS, type Detector, LEVELS_OF_STRANGERS, OFF_BY_DEFAULT } from "./detectors.ts";
import { NotFoundBursts } from "./not-found-bursts.ts";

/** The log that capture records to: any `SecurityLog`, whatever its own events are. */
export interface CaptureLog {
  readonly recordSecurityEvent: (
    type: keyof CatalogueData,
    request: object | null | undefined,
    data: CaptureFacts,
  ) => unknown;
}

/** The facts that capture adds to an event. */
export type CaptureFacts = { readonly [key: string]: unknown };

/** Options of every adapter. `Request` is the framework's own. */
export interface CaptureOptions<Request extends object = IncomingMessage> {
  /**
   * Returns who sends a request, for events that do not name an actor: an id, `undefined` for an anonymous one. Called
   * when an event is recorded, so after authentication. Must return at once. `setActor` takes precedence.
   *
   * ```ts
   * securityCapture(security, { actor: (req: express.Request) => req.session.accountId });
   * ```
   *
   * @default what authentication leaves on the request: the `id`, `sub`, `_id`, `userId`, `uid`, `uuid`, `oid` or
   *   `username` of `request.user`, `request.auth`, `request.oidc.user` or `request.session.passport.user`; an e-mail
   *   address only if there is nothing else
   */
  readonly actor?: ActorOf<Request> | undefined;
  /**
   * Which detectors are on: `{ wrongMethod: false }` turns one off, `{ badRequest: true }` one on.
   * @default every one is on but `badRequest`
   */
  readonly detect?: { readonly [D in Detector]?: boolean | undefined } | undefined;
  /**
   * Whether calls of `recordSecurityEvent` without a request find the current one, by `AsyncLocalStorage`. Costs about
   * a microsecond per request.
   * @default true
   */
  readonly context?: boolean | undefined;
}

/** A method, so that it may expect more than `Request`: the application knows what its middleware adds. */
type ActorOf<Request extends object> = {
  of(request: Request): Party | null | undefined;
}["of"];

/** The log and options of one installed capture. */
export class Capture {
  readonly log: CaptureLog;
  readonly context: boolean;
  readonly actor: ((request: object) => unknown) | undefined;
  readonly #off: ReadonlySet<Detector>;
  readonly #bursts: NotFoundBursts;

  /** @throws SeclogError `SECLOG_CONFIG` for anything but a log, and for an unknown option or detector. */
  constructor(log: CaptureLog, options: CaptureOptions<never> = {}) {
    if (typeof log?.recordSecurityEvent !== "function") {
      throw configError("securityCapture", "log", "must be what createSecurityLog returned");
    }
    rejectUnknownOptions("securityCapture", options, ["actor", "detect", "context"]);
    const { actor, detect = {}, context = true } = options;
    if (actor !== undefined && typeof actor !== "function") {
      throw configError("securityCapture", "actor", `must be a function, not ${String(actor)}`);
    }
    rejectUnknownOptions("securityCapture: detect", detect, DETECTORS);
    for (const [key, value] of Object.entries({ ...detect, context })) {
      if (typeof value !== "boolean" && value !== undefined) {
        throw configError("securityCapture", key, `must be true or false, not ${String(value)}`);
      }
    }
    this.log = log;
    this.context = context;
    this.actor = actor as ((request: object) => unknown) | undefined;
    this.#off = new Set(DETECTORS.filter((detector) => !(detect[detector] ?? !OFF_BY_DEFAULT.has(detector))));
    this.#bursts = new NotFoundBursts(({ request, ...facts }) =>
      this.record("notFoundBurst", request, { ...facts, statusCode: 404 }),
    );
  }

  detects(detector: Detector): boolean {
    return !this.#off.has(detector);
  }

  /** Records what a detector found. Never throws, also when the log does (durability `"strict"`). */
  record(detector: Detector, request: object, facts: CaptureFacts): void {
    if (this.#off.has(detector)) return;
    try {
      const level = LEVELS_OF_STRANGERS[detector] ?? (detector === "forbidden" ? levelOfRefusal(request) : undefined);
      this.log.recordSecurityEvent(DETECTED[detector], request, level === undefined ? facts : { level, ...facts });
    } catch {
      // The log reports its own failures to its diagnostics; the response is already given.
    }
  }

  /** A request ended with 404 and for no other reason. */
  countNotFound(request: object, peer: string | undefined): void {
    if (this.#off.has("notFoundBurst")) return;
    const address = (this.log as AddressKnowing)[ADDRESS_OF]?.(request) ?? peer;
    if (address !== undefined) this.#bursts.add(address, request);
  }
}

/** A user who is refused is worth waking somebody for; a stranger is refused by every door that is shut. */
function levelOfRefusal(request: object): "warning" | undefined {
  const actor = senderOf(subjectOf(request), currentContext(), new NoteTaker());
  return actor === undefined || actor === null ? "warning" : undefined;
}
