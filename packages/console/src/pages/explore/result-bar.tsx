/** What was found: how many, how far the search came, what is marked, what arrived since. */
import { ApiError } from "@seclog/api";
import type { ReactNode } from "react";
import { localTime } from "../../data/clock.ts";
import { count, counted } from "../../data/numbers.ts";
import { Button } from "../../parts/control.tsx";
import { type Span, spanName } from "./differs-panel.tsx";
import type { Found } from "./event-search.ts";
import style from "./explore.module.css";

export interface ResultBarProps {
  readonly found: Found;
  readonly isReadable: boolean;
  /** All that match; `undefined` until it is known. */
  readonly total: number | undefined;
  readonly isTotalDone: boolean;
  readonly marked: Span | undefined;
  /** How many events are in the marked time. */
  readonly inMarked: number | undefined;
  readonly onStop: () => void;
  readonly onGoOn: () => void;
  readonly onZoom: () => void;
  readonly onDiffers: () => void;
  readonly onUnmark: () => void;
  readonly onNewer: () => void;
}

export function ResultBar(props: ResultBarProps): ReactNode {
  const {
    found,
    isReadable,
    total,
    isTotalDone,
    marked,
    inMarked,
    onStop,
    onGoOn,
    onZoom,
    onDiffers,
    onUnmark,
    onNewer,
  } = props;
  return (
    <div className={style.result}>
      <span role="status" hidden={!isReadable}>
        {total === undefined ? <span className={`skeleton ${style.comingTotal}`} /> : <b>{count(total)}</b>}{" "}
        {total === 1 ? "event" : "events"}
        {total !== undefined && !isTotalDone ? " so far" : ""}
      </span>
      <Reached found={found} onStop={onStop} onGoOn={onGoOn} />
      {marked === undefined ? null : (
        <>
          <span className="wide-only">
            {spanName(marked)} marked{inMarked === undefined ? "" : ": "}
            {inMarked === undefined ? null : <b>{count(inMarked)}</b>}
          </span>
          <Button kind="link" onClick={onZoom}>
            zoom in
          </Button>
          <Button kind="link" onClick={onDiffers}>
            what differs
          </Button>
          <Button kind="link" onClick={onUnmark}>
            unmark
          </Button>
        </>
      )}
      <span className="grow" />
      {found.newer.length === 0 ? (
        <span className="wide-only">newest first</span>
      ) : (
        <button type="button" className={style.newer} onClick={onNewer}>
          {counted(found.newer.length, "newer event")} <kbd>l</kbd>
        </button>
      )}
    </div>
  );
}

/** How far a search came that has not ended. */
function Reached({ found, onStop, onGoOn }: Pick<ResultBarProps, "found" | "onStop" | "onGoOn">): ReactNode {
  const { state, reached, answered, events } = found;
  const at = reached === null ? undefined : localTime(reached);
  const where = at === undefined ? "" : ` back to ${at.day.slice(5)} ${at.time.slice(0, 5)}`;
  if (state === "running" && answered)
    return (
      <>
        <span>searching{where}</span>
        <Button kind="link" onClick={onStop}>
          stop
        </Button>
      </>
    );
  if (state === "stopped")
    return (
      <>
        <span>
          stopped: searched{where}, {count(events.length)} found
        </span>
        <Button kind="link" onClick={onGoOn}>
          go on
        </Button>
      </>
    );
  if (state === "failed")
    return (
      <>
        <span>
          {found.error instanceof ApiError ? "the server refused this" : "the server does not answer"}
          {events.length === 0 ? "" : answered ? "; what is here stays" : "; the rows are those of the query before"}
        </span>
        <Button kind="link" onClick={onGoOn}>
          try again
        </Button>
      </>
    );
  return null;
}
