/** What differs between the marked time and the time of the same length before it. */
import type { FacetsResult } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { localTime } from "../../data/clock.ts";
import { facetsInParts } from "../../data/facets.ts";
import { Button } from "../../parts/control.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import style from "./differs.module.css";
import { type Difference, differencesOf } from "./differs.ts";

export interface Span {
  /** In milliseconds. */
  readonly from: number;
  readonly to: number;
}

export interface DiffersPanelProps {
  readonly query: string;
  readonly span: Span;
  readonly onFilter: (field: string, value: string, how: "for" | "out") => void;
  readonly onClose: () => void;
}

const FIELDS = "level,type,category,outcome,ip,actor,target,route,method,status,host,service,agent";
const SHOWN = 8;

export function DiffersPanel({ query, span, onFilter, onClose }: DiffersPanelProps): ReactNode {
  const before = { from: span.from - (span.to - span.from), to: span.from };
  const [now, then] = [useFacetsOf(query, span), useFacetsOf(query, before)];
  const total = { now: totalOf(now.data), before: totalOf(then.data) };
  const all =
    now.data === undefined || then.data === undefined
      ? undefined
      : differencesOf(now.data.facets, then.data.facets, total);
  const isCounting = now.data?.done === false || then.data?.done === false;
  const failed = now.isError || then.isError;
  return (
    <section className={style.panel} aria-label="What differs">
      <header className={style.head}>
        <span className="cut">
          <b>What differs</b> between {spanName(span)} and as long before
        </span>
        <span className="grow" />
        <span className="wide-only">
          <i className={style.markedKey} /> marked <i className={style.beforeKey} /> before
        </span>
        <Button kind="link" onClick={onClose}>
          close
        </Button>
      </header>
      {failed ? <p className={style.words}>The server did not answer. Close this, and ask again.</p> : null}
      {all === undefined && !failed
        ? Array.from({ length: 5 }, (_, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
            <div key={index} className={style.row}>
              <span className="skeleton" />
            </div>
          ))
        : null}
      {all?.slice(0, SHOWN).map((each) => (
        <Row key={`${each.field} ${each.value}`} difference={each} onFilter={onFilter} />
      ))}
      {all === undefined ? null : (
        <p className={style.words}>
          {total.now === 0
            ? "No events in the marked time."
            : total.before === 0
              ? "No events as long before: everything is new."
              : all.length === 0
                ? "No change: every share is within 3 % of what it was before."
                : all.length > SHOWN
                  ? `${all.length - SHOWN} smaller changes are not shown.`
                  : "The other shares are within 3 % of what they were before."}
          {isCounting ? " Still counting." : ""}
        </p>
      )}
    </section>
  );
}

function Row({
  difference,
  onFilter,
}: {
  readonly difference: Difference;
  readonly onFilter: DiffersPanelProps["onFilter"];
}): ReactNode {
  const { field, value, before, now } = difference;
  return (
    <div className={style.row}>
      <span className="t3">{field === "ip" ? "address" : field}</span>
      <span className="mono cut">
        <Stranger value={value} most={80} />
      </span>
      <span className={style.bars}>
        <i style={{ width: `${now * 100}%` }} />
        <i style={{ width: `${before * 100}%` }} />
      </span>
      <span className="num">
        {percent(before)} to {percent(now)} %
      </span>
      <Button
        kind="link"
        className="num"
        aria-label={`Filter for ${value.slice(0, 60)}`}
        onClick={() => onFilter(field, value, "for")}
      >
        filter
      </Button>
    </div>
  );
}

const percent = (share: number): number => Math.round(share * 100);

function useFacetsOf(q: string, { from, to }: Span): ReturnType<typeof useFacetsQuery> {
  return useFacetsQuery(q, new Date(from).toISOString(), new Date(to).toISOString());
}

function useFacetsQuery(q: string, since: string, until: string) {
  const key = ["differs", q, since, until];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => facetsInParts(key, { fields: FIELDS, q, since, until, limit: 200 }, signal),
    staleTime: Infinity,
  });
}

/** Every event has a level. */
function totalOf(data: FacetsResult | undefined): number {
  return data?.facets["level"]?.values.reduce((sum, { events }) => sum + events, 0) ?? 0;
}

/** `12:30 to 14:32`, with the days where they differ. */
export function spanName({ from, to }: Span): string {
  const [begin, end] = [localTime(new Date(from).toISOString()), localTime(new Date(to).toISOString())];
  const isShort = to - from < 120_000;
  const time = (text: string): string => (isShort ? text : text.slice(0, 5));
  return begin.day === end.day
    ? `${time(begin.time)} to ${time(end.time)}`
    : `${begin.day.slice(5)} ${time(begin.time)} to ${end.day.slice(5)} ${time(end.time)}`;
}
