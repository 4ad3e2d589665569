/** What stands below the rows, or instead of them: whether that is all, and the next step. */
import type { ReactNode } from "react";
import { count } from "../../data/numbers.ts";
import { setTimeRange } from "../../data/time-range.ts";
import { Button } from "../../parts/control.tsx";
import { Failure, Nothing } from "../../parts/failure.tsx";
import type { Found } from "./event-search.ts";
import style from "./rows.module.css";

export interface NoRowsProps {
  readonly found: Found;
  readonly isReadable: boolean;
  readonly query: string;
  readonly since: string;
  readonly onGoOn: () => void;
  readonly onRun: (query: string) => void;
}

export function NoRows({ found, isReadable, query, since, onGoOn, onRun }: NoRowsProps): ReactNode {
  if (!isReadable)
    return (
      <Nothing title="The query cannot be read">
        <p>The query line shows where, and the ways out.</p>
      </Nothing>
    );
  if (found.state === "failed") return <Failure error={found.error} onRetry={onGoOn} />;
  if (found.state === "running")
    return (
      <div className={style.coming} aria-hidden="true">
        {Array.from({ length: 12 }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
          <div key={index}>
            <span className="skeleton" />
          </div>
        ))}
      </div>
    );
  if (found.state === "stopped")
    return (
      <Nothing title="The search was stopped before it found an event">
        <Button onClick={onGoOn}>Go on</Button>
      </Nothing>
    );
  return (
    <Nothing title={query === "" ? "No events in this time" : "No events match"}>
      <p>
        {query === ""
          ? "When the application records its first event, it appears here."
          : "Every event of this time was considered."}
      </p>
      <p>
        {since === "90d" ? null : (
          <Button kind="link" onClick={() => setTimeRange({ since: "90d" })}>
            Look at the last 90 days
          </Button>
        )}{" "}
        {query === "" ? null : (
          <Button kind="link" onClick={() => onRun("")}>
            Show everything
          </Button>
        )}
      </p>
    </Nothing>
  );
}

export interface EndOfRowsProps {
  readonly found: Found;
  readonly most: number;
  readonly onGoOn: () => void;
}

export function EndOfRows({ found: { state, events }, most, onGoOn }: EndOfRowsProps): ReactNode {
  const words = {
    running: "More is coming …",
    waiting: "More is coming …",
    done: `That is all: ${count(events.length)} loaded, nothing is cut.`,
    stopped: "The search was stopped here.",
    failed: "The rest could not be loaded. What is here stays.",
    full: `A page holds ${count(most)} events. Narrow the query or the time to see older ones, or export all.`,
  }[state];
  return (
    <div className={style.end}>
      {words}
      {state === "stopped" || state === "failed" ? (
        <Button kind="link" onClick={onGoOn}>
          {state === "stopped" ? "Go on" : "Try again"}
        </Button>
      ) : null}
    </div>
  );
}
