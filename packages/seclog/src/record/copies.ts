/**
 * What all copies of this package in one process have in common. There may be several: an application and a library of it install
 * different versions, or a bundler puts one into each of its files. Each would have its own idea of the current request and
 * of what is on record for it, so that one refusal became two events.
 *
 * Nothing is shared at import; a copy joins when it is first used.
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { VERSION } from "../event/version.ts";
import type { Party } from "./facts.ts";

/**
 * The shape of what copies share: the members of {@link Shared}, `RequestContext`, `RequestCauses` and capture's `Observation`. To be
 * raised when one of them changes: copies of different shapes share nothing, and say so.
 */
export const SHAPE = 1;

/** What is known while a request is answered. */
export interface RequestContext {
  /** The framework's request, once the framework has made one of the request underneath. */
  request: object;
  /** Who sends it, once somebody knows. */
  actor?: Party | undefined;
}

/** What copies of one shape share. */
export interface Shared {
  storage: AsyncLocalStorage<RequestContext> | undefined;
  /** Judgements that wait for what the application may still record itself. */
  readonly waiting: Set<() => void>;
  /** The version of the copy that came first. */
  readonly version: string;
}

const KEY = Symbol.for("seclog.copies");

let shared: Shared | undefined;

/** What this copy shares with others of its shape. */
export function sharedState(): Shared {
  if (shared === undefined) {
    const shapes = allShapes();
    shared = shapes.get(SHAPE) ?? { storage: undefined, waiting: new Set(), version: VERSION };
    shapes.set(SHAPE, shared);
  }
  return shared;
}

/** The versions of copies that are used in this process and share nothing with this one. */
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
