import type { CaptureFacts } from "./capture-facts.ts";
import type { Detector } from "./detectors.ts";
import type { Refusal } from "./refusal.ts";
import type { AskedRequest, RouteKnowledge } from "./routes.ts";

/** What is known of a request when its response has ended. */
export interface Answered extends AskedRequest {
  readonly statusCode: number;
  /** The errors with a meaning of their own that passed by. */
  readonly refusals: readonly Refusal[] | undefined;
  /** Whether the application recorded an event that explains a refusal. */
  readonly explained: boolean;
  /** Whether the framework reported that no route takes this request. */
  readonly unrouted: boolean;
  /** Whether an error passed other than "not found" and "method not allowed". */
  readonly failed: boolean;
  /** The name of the last error that passed. */
  readonly failure: string | undefined;
  readonly method: string;
  /** The target as the client sent it. */
  readonly target: string;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly routes: RouteKnowledge | undefined;
  /** A header of the response. */
  readonly header: (name: string) => unknown;
  readonly detects: (detector: Detector) => boolean;
  /** What the application wants to be looked for besides. */
  readonly traps: TrapJudge | undefined;
}

/** A reason for the refusal, to be recorded unless the application did so itself. */
export interface Finding {
  readonly detector: Detector;
  readonly facts: CaptureFacts;
  /** Whether only an event of the same type explains it; a status may have other explanations, an error may not. */
  readonly byError: boolean;
}

/** How `traps.ts` judges. */
interface TrapJudge {
  findings(answered: Answered): readonly Finding[];
  login(answered: Answered): Finding | undefined;
}
