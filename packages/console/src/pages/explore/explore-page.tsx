/** The page Explore: a query, its facets, its time and its rows. The address has all of its state. */
import type { EventRecord } from "@seclog/api";
import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { totalOf } from "../../data/counts.ts";
import { count } from "../../data/numbers.ts";
import { useSession } from "../../data/session.ts";
import { setTimeRange, useTimeRange } from "../../data/time-range.ts";
import { Frame } from "../../frame/frame.tsx";
import { toast } from "../../frame/toasts.tsx";
import { Button } from "../../parts/control.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Histogram } from "../../parts/histogram.tsx";
import { changeSearch, goTo, hrefOf, usePlace } from "../../routing/place.ts";
import { columnsNamed } from "./columns.tsx";
import { ColumnsMenu } from "./columns-menu.tsx";
import { Completeness } from "./completeness.tsx";
import { contextsOf, whatElseHref } from "./contexts.ts";
import { DiffersPanel, type Span } from "./differs-panel.tsx";
import { EventRows } from "./event-rows.tsx";
import { MOST_ROWS } from "./event-search.ts";
import style from "./explore.module.css";
import { useExploreKeys } from "./explore-keys.ts";
import { ExportMenu } from "./export-menu.tsx";
import { FacetList } from "./facet-list.tsx";
import { LiveButton } from "./live-button.tsx";
import { OpenElsewhere } from "./open-elsewhere.tsx";
import { OpenedEvent } from "./opened-event.tsx";
import { faultOf } from "./query-faults.ts";
import { QueryLine } from "./query-line.tsx";
import { withoutValue, withValue } from "./query-terms.ts";
import { ResultBar } from "./result-bar.tsx";
import { EndOfRows, NoRows } from "./row-ends.tsx";
import { SaveView } from "./save-view.tsx";
import { useEventSearch } from "./use-event-search.ts";
import { useListPlace } from "./use-list-place.ts";
import { useLive } from "./use-live.ts";
import { useMedia } from "./use-media.ts";
import { useTimeline } from "./use-timeline.ts";
import { ViewTabs, viewHref } from "./view-tabs.tsx";
import { removeView, useViews, type View } from "./views.ts";

const DIFFERS_MS = 15 * 60_000;

export function ExplorePage(): ReactNode {
  const { search: address } = usePlace();
  const { since, until } = useTimeRange();
  const q = address.get("q") ?? "";
  const selection = useMemo(() => ({ q, since, until }), [q, since, until]);
  const isReadable = useMemo(() => faultOf(q) === undefined, [q]);
  const [again, setAgain] = useState(0);
  const [isLiveWanted, setLiveWanted] = useState(true);
  const [isAtTop, setAtTop] = useState(true);
  const [marked, setMarked] = useState<Span>();
  const [differs, setDiffers] = useState<Span>();
  const [open, setOpen] = useState<"columns" | "export" | "save" | "facets">();
  const [hasFacets, setFacets] = useState(true);
  const isWide = useMedia("(min-width: 1181px)");
  const isNarrow = useMedia("(max-width: 640px)");
  const { data: session } = useSession();
  const views = useViews();
  const { search, found, isOld } = useEventSearch(selection, isReadable, again);
  const place = useListPlace(found.events, address.get("open") ?? undefined);
  const canBeLive = until === undefined && isReadable;
  const missed = useCallback(() => setAgain((times) => times + 1), []);
  const live = useLive(search, q, canBeLive && isLiveWanted, missed);
  const flows = live === "on" && isAtTop && place.openId === undefined && place.currentId === undefined;
  useEffect(() => search.setFlow(flows), [search, flows]);
  const { timeline, isOld: isTimelineOld } = useTimeline(selection, isReadable, live === "on");
  const total = timeline === undefined || isTimelineOld ? undefined : Math.max(totalOf(timeline), found.events.length);
  const columnNames = address.get("columns") ?? undefined;
  const columns = useMemo(() => columnsNamed(columnNames, isWide || isNarrow), [columnNames, isWide, isNarrow]);
  const input = useRef<HTMLInputElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was marked belongs to the query and its time
  useEffect(() => {
    setMarked(undefined);
    setDiffers(undefined);
  }, [q, since, until]);

  const run = useCallback((query: string): void => {
    const text = query.trim();
    changeSearch({ q: text === "" ? undefined : text, open: undefined });
    setAgain((times) => times + 1);
  }, []);
  const filter = useCallback(
    (field: string, value: string, how: "for" | "out"): void =>
      run(how === "for" ? withValue(q, field, value) : withoutValue(q, field, value)),
    [q, run],
  );
  const showNewer = (): void => {
    place.leave();
    place.leave();
    search.setFlow(true);
    document.querySelector("[role=treegrid]")?.parentElement?.scrollTo({ top: 0 });
  };
  const differsAround = useCallback((event: EventRecord): void => {
    const at = Date.parse(event.occurred_at);
    const span = { from: at - DIFFERS_MS, to: at + DIFFERS_MS };
    setMarked(span);
    setDiffers(span);
  }, []);
  const remove = (view: View): void => {
    removeView(view.id).then(
      () => toast(`View ${view.name} removed`),
      (error: unknown) => toast(error instanceof Error ? error.message : String(error)),
    );
  };
  const current = found.events.find(({ id }) => id === (place.currentId ?? place.openId));
  const pointed = (): EventRecord | undefined =>
    found.events.find(({ id }) => id === place.target.current?.id) ?? current;
  const isElsewhere =
    place.openId !== undefined &&
    found.answered &&
    found.state !== "running" &&
    [...found.events, ...found.newer].every(({ id }) => id !== place.openId);
  const canSave = session?.may.includes("views") === true;
  useExploreKeys({
    move: place.move,
    moveTo: place.moveTo,
    open: () => (current === undefined ? place.move(1) : place.toggleOpen(current.id)),
    openPage: () => current !== undefined && goTo(hrefOf(`/events/${current.id}`)),
    filter(how) {
      const event = pointed();
      const column = columns.find(({ id }) => id === (place.target.current?.column ?? "type"));
      const value = event === undefined ? undefined : column?.value(event);
      if (column?.field !== undefined && value !== undefined) filter(column.field, value, how);
      else toast("Choose a value first: point at it, or use ← and → in a row");
    },
    focusQuery: () => input.current?.focus(),
    context: () => {
      const href = current === undefined ? undefined : contextsOf(current)[0]?.href;
      if (href !== undefined) goTo(href);
    },
    whatElse: () => {
      const href = current === undefined ? undefined : whatElseHref(current);
      if (href !== undefined) goTo(href);
    },
    differs: () => (current !== undefined ? differsAround(current) : setDiffers(marked)),
    live: () => (found.newer.length > 0 ? showNewer() : setLiveWanted(!isLiveWanted)),
    columns: () => setOpen("columns"),
    facets: () => (isNarrow ? setOpen("facets") : setFacets(!hasFacets)),
    save: () => (canSave ? setOpen("save") : toast("Views are not kept for you here: y copies a link to exactly this")),
    exportAll: () => setOpen("export"),
    view: (number) => {
      const view = views[number];
      if (view !== undefined) goTo(viewHref(view, since, until));
    },
    leave() {
      if (differs === undefined) return place.leave();
      setDiffers(undefined);
      return true;
    },
  });
  const onNeed = useCallback((rows: number) => search.want(rows), [search]);
  const showOpened = useCallback(
    (event: EventRecord) => <OpenedEvent event={event} onFilter={filter} onDiffers={differsAround} />,
    [filter, differsAround],
  );
  const facets = <FacetList selection={selection} isReadable={isReadable} onFilter={filter} />;
  return (
    <Frame
      title="Explore"
      head={<ViewTabs views={views} query={q} onRemove={remove} />}
      foot={
        <Completeness
          isReadable={isReadable}
          found={found}
          total={total}
          isTotalDone={timeline?.done === true}
          live={live}
        />
      }
    >
      <div className={hasFacets ? style.explore : `${style.explore} ${style.withoutFacets}`}>
        <section className={style.query} aria-label="Query">
          <QueryLine
            query={q}
            input={input}
            about={total === undefined ? null : <span>{count(total)} events</span>}
            onRun={(query) => {
              run(query);
              // The rows come next: j, k and the arrows move in them.
              document.querySelector<HTMLElement>("[role=treegrid]")?.focus();
            }}
          />
          <LiveButton
            live={live}
            canBeLive={canBeLive}
            isPaused={live === "on" && !flows}
            onClick={() => (found.newer.length > 0 ? showNewer() : setLiveWanted(!isLiveWanted))}
          />
          <Button icon="facets" className="narrow-only" onClick={() => setOpen("facets")}>
            Facets
          </Button>
          <ColumnsMenu
            columns={columns}
            events={found.events}
            isOpen={open === "columns"}
            onOpen={(isOpen) => setOpen(isOpen ? "columns" : undefined)}
          />
          {canSave ? (
            <Button icon="save" title="Save view  s" onClick={() => setOpen("save")}>
              <span className={style.word}>Save view</span>
            </Button>
          ) : null}
          <ExportMenu
            selection={selection}
            isOpen={open === "export"}
            onOpen={(isOpen) => setOpen(isOpen ? "export" : undefined)}
          />
        </section>
        {hasFacets && !isNarrow ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls takes the focus, for the keyboard
          <aside className={style.facets} aria-label="Facets" tabIndex={0}>
            {facets}
          </aside>
        ) : null}
        <section className={style.results} aria-label="Result">
          <div className={style.histogram}>
            {timeline === undefined ? null : (
              <Histogram timeline={timeline} mini marked={marked} onBrush={(from, to) => setMarked({ from, to })} />
            )}
          </div>
          <ResultBar
            found={found}
            isReadable={isReadable}
            total={total}
            isTotalDone={timeline?.done === true}
            marked={marked}
            inMarked={marked === undefined ? undefined : eventsIn(timeline, marked)}
            onStop={() => search.stop()}
            onGoOn={() => search.goOn()}
            onZoom={() => marked !== undefined && setTimeRange(rangeOf(marked))}
            onDiffers={() => setDiffers(marked)}
            onUnmark={() => {
              setMarked(undefined);
              setDiffers(undefined);
            }}
            onNewer={showNewer}
          />
          {isElsewhere && place.openId !== undefined ? (
            <OpenElsewhere id={place.openId} loaded={found.events.length} />
          ) : null}
          {differs === undefined ? null : (
            <DiffersPanel query={q} span={differs} onFilter={filter} onClose={() => setDiffers(undefined)} />
          )}
          <EventRows
            events={found.events}
            columns={columns}
            place={place}
            isOld={isOld}
            isNarrow={isNarrow}
            total={total}
            onFilter={filter}
            onNeed={onNeed}
            onTop={setAtTop}
            showOpened={showOpened}
            end={
              found.events.length === 0 ? (
                <NoRows
                  found={found}
                  isReadable={isReadable}
                  query={q}
                  since={since}
                  onGoOn={() => search.goOn()}
                  onRun={run}
                />
              ) : (
                <EndOfRows found={found} most={MOST_ROWS} onGoOn={() => search.goOn()} />
              )
            }
          />
        </section>
      </div>
      {open === "save" ? (
        <SaveView query={q} since={since} columns={columnNames} onClose={() => setOpen(undefined)} />
      ) : null}
      {open === "facets" ? (
        <Dialog label="Facets" onClose={() => setOpen(undefined)}>
          <div className={style.sheet}>
            {facets}
            <Button kind="primary" onClick={() => setOpen(undefined)}>
              Show {total === undefined ? "the" : count(total)} events
            </Button>
          </div>
        </Dialog>
      ) : null}
    </Frame>
  );
}

function rangeOf({ from, to }: Span): { readonly since: string; readonly until: string } {
  return { since: new Date(from).toISOString(), until: new Date(to).toISOString() };
}

/** By whole bars, as they are drawn. */
function eventsIn(timeline: ReturnType<typeof useTimeline>["timeline"], { from, to }: Span): number | undefined {
  return timeline?.buckets.reduce((sum, { start, events }) => {
    const middle = Date.parse(start) + timeline.step_seconds * 500;
    return middle >= from && middle < to ? sum + events : sum;
  }, 0);
}
