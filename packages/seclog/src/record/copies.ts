/**
 * State shared by all copies of this package in one process. There may be several: an application and one of its
 * libraries install different versions, or a bundler puts one into each of its files. If each had its own idea of the
 * current request and of its events, one refusal would become two events.
 *
 * A copy joins when it is first used, not when it is imported.
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { VERSION } from "../event/version.ts";
import type { Party } from "./facts.ts";

/**
 * The version of the shared members: those of {@link Shared}, `RequestContext`, `RequestCauses` and capture's
 * `Observation`. Raise it when one of them changes: copies of different shapes share nothing, and report that.
 */
export const SHAPE = 2;

/** The state of a request while it is being answered. */
export interface RequestContext {
  /** The framework's request, once the framework has created one for the raw request. */
  request: object;
  /** Who sends it, once `setActor` has named them. */
  actor?: Party | undefined;
}

/** The state that copies of one shape share. */
export interface Shared {
  storage: AsyncLocalStorage<RequestContext> | undefined;
  /** Decisions put off so that the application can record the event first. */
  readonly waiting: Set<() => void>;
  /** The version of the copy that came first. */
  readonly version: string;
}

const KEY = Symbol.for("seclog.copies");

let shared: Shared | undefined;

/** The state that this copy shares with others of its shape. */
export function sharedState(): Shared {
  if (shared === undefined) {
    const shapes = allShapes();
    shared = shapes.get(SHAPE) ?? { storage: undefined, waiting: new Set(), version: VERSION };
    shapes.set(SHAPE, shared);
  }
  return shared;
}

/** The versions of copies that are in use in this process and share nothing with this one. */
export function strangeCopies(): string[] {
  return [...allShapes()].flatMap(([shape, { version }]) => (shape === SHAPE ? [] : [version]));
}

function allShapes(): Map<number, Shared> {
  const holder = globalThis as { [KEY]?: Map<number, Shared> };
  const known = holder[KEY];
  if (known !== undefined) return known;
  const made = new Map<number, Shared>();
  Object.defineProperty(globalThis, KEY, { value: made });
  return made;
}
