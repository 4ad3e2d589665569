/** The status line: how many are loaded, and how complete that is. */
import type { ReactNode } from "react";
import { localTime } from "../../data/clock.ts";
import { count } from "../../data/numbers.ts";
import type { Found } from "./event-search.ts";
import type { LiveState } from "./use-live.ts";

export interface CompletenessProps {
  readonly isReadable: boolean;
  readonly found: Found;
  readonly total: number | undefined;
  readonly isTotalDone: boolean;
  readonly live: LiveState;
}

export function Completeness({
  isReadable,
  found: { events, state },
  total,
  isTotalDone,
  live,
}: CompletenessProps): ReactNode {
  if (!isReadable) return "The query cannot be read";
  const newest = events[0]?.occurred_at;
  const all = total === undefined ? "" : ` of ${count(Math.max(total, events.length))}${isTotalDone ? "" : " so far"}`;
  const limit =
    live === "lost"
      ? "the live connection is lost and comes back by itself"
      : {
          running: "still searching",
          stopped: "stopped before the end",
          failed: "the rest could not be loaded",
          full: "older ones are not loaded",
          done: "nothing is cut",
          waiting: "more as you scroll",
        }[state];
  return `${count(events.length)}${all} loaded${newest === undefined ? "" : `, newest ${localTime(newest).time}`}; ${limit}`;
}
