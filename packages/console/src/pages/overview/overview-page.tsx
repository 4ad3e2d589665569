/** What happened lately, against the time before; and whether this log can be believed. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { api } from "../../data/api.ts";
import { useBefore, useFacets, useTimeline } from "../../data/facets.ts";
import { counted } from "../../data/numbers.ts";
import { momentsOf, setTimeRange, type TimeRange, useTimeRange } from "../../data/time-range.ts";
import { Frame } from "../../frame/frame.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Histogram } from "../../parts/histogram.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import { FactsStrip } from "./facts-strip.tsx";
import { FirstSteps } from "./first-steps.tsx";
import { headlineOf } from "./headline.ts";
import { Legend } from "./legend.tsx";
import { Newest } from "./newest.tsx";
import style from "./overview.module.css";
import { SourcesTable } from "./sources-table.tsx";
import { Tops } from "./tops.tsx";

const LEVELS = ["critical", "error", "warning", "info", "debug"];

export function OverviewPage(): ReactNode {
  const range = useTimeRange();
  const { data: sources } = useQuery({
    queryKey: ["sources"],
    queryFn: ({ signal }) => api.sources(signal),
    refetchInterval: 10_000,
  });
  const period = periodOf(range);
  if (sources !== undefined && sources.total - sources.sources.filter(({ own }) => own).length === 0)
    return <FirstSteps />;
  return (
    <Frame
      title="Overview"
      head={
        <>
          <h1>Overview</h1>
          <span className="t3 s12 wide-only">against {period}</span>
        </>
      }
      foot={sources === undefined ? "" : counted(sources.total, "source")}
    >
      <FactsStrip sources={sources} />
      <Happened range={range} period={period} />
      <Tops range={range} />
      <SourcesTable sources={sources} />
    </Frame>
  );
}

function Happened({ range, period }: { readonly range: TimeRange; readonly period: string }): ReactNode {
  const timeline = useTimeline(range);
  const { data: latest, isPlaceholderData } = useFacets({ range, fields: ["level", "type"], limit: 20 });
  // The sentence is made of whole counts of this very range.
  const now = isPlaceholderData || latest?.done !== true ? undefined : latest;
  const types = useMemo(() => now?.facets["type"]?.values.map(({ name }) => name) ?? [], [now]);
  const typesBefore = useBefore(range, "type", types);
  const levelsBefore = useBefore(range, "level", LEVELS);
  const levels = now?.facets["level"]?.values;
  const headline = useMemo(() => {
    if (levels === undefined || typesBefore === undefined || levelsBefore === undefined) return undefined;
    const compared = now?.facets["type"]?.values.map(({ name, events }) => ({
      name,
      now: events,
      before: typesBefore.get(name) ?? 0,
    }));
    const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);
    const total = { name: "", now: sum(levels.map(({ events }) => events)), before: sum(levelsBefore.values()) };
    return headlineOf(compared ?? [], total, period);
  }, [now, levels, typesBefore, levelsBefore, period]);
  return (
    <section className={style.happened} aria-label="What happened">
      <div className={style.main}>
        <div className={style.say}>
          <p>
            {headline === undefined ? <span className={`skeleton ${style.saying}`} /> : headline.text}
            <small>
              {headline?.type === undefined ? (
                <>Compared with {period}.</>
              ) : (
                <>
                  <Link className="link" href={hrefOf("/explore", { q: `type:${headline.type}`, ...searchOf(range) })}>
                    Look at them
                  </Link>
                  . Compared with {period}.
                </>
              )}
            </small>
          </p>
          <Legend levels={levels} before={levelsBefore} range={range} />
        </div>
        {timeline.error !== null && timeline.data === undefined ? (
          <Failure error={timeline.error} onRetry={() => void timeline.refetch()} />
        ) : timeline.data === undefined ? (
          <div className={style.waiting} />
        ) : (
          <Histogram
            timeline={timeline.data}
            onBrush={(from, to) =>
              setTimeRange({ since: new Date(from).toISOString(), until: new Date(to).toISOString() })
            }
          />
        )}
      </div>
      <Newest range={range} />
    </section>
  );
}

/** The times of a range, for a link. */
function searchOf({ since, until }: TimeRange): { readonly since: string; readonly until: string | undefined } {
  return { since, until };
}

/** `the 24 h before`, in words that fit behind "times". */
function periodOf(range: TimeRange): string {
  const { from, to } = momentsOf(range, Date.now());
  const minutes = Math.round((to - from) / 60_000);
  if (minutes <= 60) return minutes === 60 ? "the hour before" : `the ${minutes} min before`;
  const hours = Math.round(minutes / 60);
  return hours <= 48 ? `the ${hours} h before` : `the ${Math.round(hours / 24)} days before`;
}
