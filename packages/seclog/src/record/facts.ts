import type { Catalogue, DataOf } from "../event/catalogue.ts";
import type { EventDefinitions } from "../event/definition.ts";
import type { Outcome } from "../event/event.ts";
import type { Level } from "../event/level.ts";

/** An actor or a target: an id, or an id with its type. Ids are cut at 256 characters. */
export type Party = string | number | bigint | { readonly id: string | number | bigint; readonly type?: string };

/**
 * Facts that any event may carry and that have columns of their own; `null` means absent. Everything else goes to
 * `data`.
 */
export interface EventFacts {
  /** Who did it. If absent, `userid` applies, then the request context's actor. */
  readonly actor?: Party | null | undefined;
  /** What it was done to. */
  readonly target?: Party | null | undefined;
  /** @default the type's own */
  readonly outcome?: Outcome | null | undefined;
  /**
   * How severe this occurrence is. Not for the log's own events.
   * @default what the type's data determine, else the type's own
   */
  readonly level?: Level | null | undefined;
  /**
   * When it happened, for an event that is recorded afterwards: at most seven days ago, and not in the future. Anything
   * else is flagged and stays in the data; then, as without it, the time of the call applies. Not for the log's own
   * events.
   * @default the time of the call
   */
  readonly occurredAt?: Date | null | undefined;
  /** The response's status. */
  readonly statusCode?: number | null | undefined;
  /** The methods that the path allows: a list, or the value of the `Allow` header. */
  readonly allowedMethods?: string | number | readonly string[] | null | undefined;
  /** The route's template, if the request does not carry it. */
  readonly route?: string | null | undefined;
  /** How many occurrences this event stands for. */
  readonly count?: number | null | undefined;
  /** The first of `count` occurrences. */
  readonly startedAt?: Date | null | undefined;
  /** The last of `count` occurrences. */
  readonly endedAt?: Date | null | undefined;
}

/** The data of an event of type `T`: the type's own, and the common facts. Anything else may be added. */
export type EventInput<T extends string, Events extends EventDefinitions> = DataOf<T, Events> & EventFacts;

/** The types of the catalogue and of the application's own definitions. */
export type EventType<Events extends EventDefinitions> = (keyof Catalogue & string) | (keyof Events & string);
