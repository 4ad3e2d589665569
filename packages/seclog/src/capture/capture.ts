/** One installed capture: the log that it records to, and its options. */
import type { IncomingMessage } from "node:http";
import type { CatalogueData } from "../event/catalogue.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { NoteTaker } from "../event/text.ts";
import { senderOf } from "../record/actor.ts";
import { subjectOf } from "../record/addressed-request.ts";
import { causesOf, markCause } from "../record/causes.ts";
import { currentContext } from "../record/context.ts";
import type { Party } from "../record/facts.ts";
import { IDENTIFY, type Identifying } from "../record/identity.ts";
import type { CaptureFacts } from "./capture-facts.ts";
import { DETECTED, DETECTORS, type Detector, LEVELS_OF_STRANGERS, OFF_BY_DEFAULT } from "./detectors.ts";
import { Folding } from "./folding.ts";
import { NotFoundBursts } from "./not-found-bursts.ts";
import { TRAP_OPTIONS, type TrapOptions, Traps } from "./traps.ts";

export type { CaptureFacts } from "./capture-facts.ts";

/** The log that capture records to: any `SecurityLog`, whatever its own events are. */
export interface CaptureLog {
  readonly recordSecurityEvent: (
    type: keyof CatalogueData,
    request: object | null | undefined,
    data: CaptureFacts,
  ) => unknown;
}

/** Options of every adapter. `Request` is the framework's own. */
export interface CaptureOptions<Request extends object = IncomingMessage> extends TrapOptions {
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
   * @default every one is on but `badRequest` and `openRedirect`
   */
  readonly detect?: { readonly [D in Detector]?: boolean | undefined } | undefined;
  /**
   * Whether calls of `recordSecurityEvent` without a request find the current one, by `AsyncLocalStorage`. Costs about
   * a microsecond per request.
   * @default true
   */
  readonly context?: boolean | undefined;
  /**
   * Whether equal events become one with a `count`, once there are more than ten within a minute: those of one type,
   * detector, address, route, status and actor. So do those of senders beyond the first 200 of one detector, route and
   * status within a minute. Events of durability `"strict"` never do.
   * @default true
   */
  readonly fold?: boolean | undefined;
}

const CAPTURE_OPTIONS: readonly string[] = ["actor", "detect", "context", "fold", ...TRAP_OPTIONS];

/** A capture's own options, of those that a framework passes on with its own. */
export function ownOptions(options: CaptureOptions<never>): CaptureOptions<never> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => CAPTURE_OPTIONS.includes(name)));
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
  /** What the application wants to be looked for besides; `undefined` for nothing. */
  readonly traps: Traps | undefined;
  readonly #off: ReadonlySet<Detector>;
  readonly #bursts: NotFoundBursts;
  readonly #fold: boolean;
  readonly #folding: Folding;

  /** @throws SeclogError `SECLOG_CONFIG` for anything but a log, and for an unknown option or detector. */
  constructor(log: CaptureLog, options: CaptureOptions<never> = {}) {
    if (typeof log?.recordSecurityEvent !== "function") {
      throw configError("securityCapture", "log", "must be what createSecurityLog returned");
    }
    rejectUnknownOptions("securityCapture", options, CAPTURE_OPTIONS);
    const { actor, detect = {}, context = true, fold = true } = options;
    if (actor !== undefined && typeof actor !== "function") {
      throw configError("securityCapture", "actor", `must be a function, not ${String(actor)}`);
    }
    rejectUnknownOptions("securityCapture: detect", detect, DETECTORS);
    for (const [key, value] of Object.entries({ ...detect, context, fold })) {
      if (typeof value !== "boolean" && value !== undefined) {
        throw configError("securityCapture", key, `must be true or false, not ${String(value)}`);
      }
    }
    this.log = log;
    this.context = context;
    this.actor = actor as ((request: object) => unknown) | undefined;
    this.#off = new Set(DETECTORS.filter((detector) => !(detect[detector] ?? !OFF_BY_DEFAULT.has(detector))));
    this.traps = Traps.of(options, this.detects("openRedirect"));
    this.#fold = fold;
    this.#folding = new Folding(({ type, request, facts }) => {
      try {
        log.recordSecurityEvent(type, request, facts);
      } catch {
        // As in `record`.
      }
    });
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
      const stranger = detector === "forbidden" && facts["actor"] === undefined;
      const level = LEVELS_OF_STRANGERS[detector] ?? (stranger ? levelOfRefusal(request) : undefined);
      const said = level === undefined ? facts : { level, ...facts };
      if (detector !== "notFoundBurst" && this.#folds(detector, request, said)) return;
      this.log.recordSecurityEvent(DETECTED[detector], request, said);
    } catch {
      // The log reports its own failures to its diagnostics; the response is already given.
    }
  }

  /** Whether an event is one of too many that are equal, and will be part of one with a count. */
  #folds(detector: Detector, request: object, facts: CaptureFacts): boolean {
    const type = DETECTED[detector];
    const identity = this.#fold ? (this.log as Identifying)[IDENTIFY]?.(type, request) : undefined;
    if (identity === undefined || !identity.foldable) return false;
    const { address, actor } = identity;
    const route = facts["route"] ?? identity.route;
    const crowd = `${detector}\n${facts["statusCode"] ?? ""}\n${route ?? ""}`;
    const kind = `${crowd}\n${address ?? ""}\n${nameOf(actor)}\n${facts["userid"] ?? ""}`;
    const likeness = { kind, crowd, address };
    // A folded event is recorded later, outside the request's context.
    const named = "actor" in facts || facts["userid"] !== undefined;
    const whole = actor === undefined || actor === null || named ? facts : { actor, ...facts };
    if (this.#folding.passes(likeness, { type, request, facts: whole })) return false;
    markCause(causesOf(request), type);
    return true;
  }

  /** A request ended with 404 and for no other reason. */
  countNotFound(request: object, peer: string | undefined): void {
    if (this.#off.has("notFoundBurst")) return;
    const address = (this.log as Identifying)[IDENTIFY]?.(DETECTED.notFoundBurst, request)?.address ?? peer;
    if (address !== undefined) this.#bursts.add(address, request);
  }
}

/** An actor as part of a key. */
function nameOf(actor: unknown): string {
  return typeof actor === "object" && actor !== null ? String((actor as { readonly id?: unknown }).id) : String(actor);
}

/** A refused user deserves an alert; strangers are refused all day. */
function levelOfRefusal(request: object): "warning" | undefined {
  const actor = senderOf(subjectOf(request), currentContext(), new NoteTaker());
  return actor === undefined || actor === null ? "warning" : undefined;
}
