/** Saved views as tabs in the top bar, with counts where they are quick to know. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { count } from "../../data/numbers.ts";
import { useTimeRange } from "../../data/time-range.ts";
import { Button } from "../../parts/control.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Link } from "../../routing/link.tsx";
import { goTo, hrefOf } from "../../routing/place.ts";
import { Menu } from "./menu.tsx";
import style from "./views.module.css";
import { columnsOf, type View } from "./views.ts";

export interface ViewTabsProps {
  readonly views: readonly View[];
  readonly query: string;
  readonly onRemove: (view: View) => void;
}

export function ViewTabs({ views, query, onRemove }: ViewTabsProps): ReactNode {
  const { since, until } = useTimeRange();
  const { data: counts } = useQuery({
    queryKey: ["view-counts", since, until, views.map((view) => view.query)],
    queryFn: ({ signal }) => countEach(views, since, until, signal),
    staleTime: 60_000,
    placeholderData: (previous) => previous,
  });
  return (
    <>
      <h1 className="sr">Explore</h1>
      <nav className={style.views} aria-label="Views">
        <Link href={hrefOf("/explore", timesOf(since, until))} {...(query === "" ? { "aria-current": "true" } : {})}>
          Everything
        </Link>
        {views.map((view) => {
          const isCurrent = view.query === query;
          const events = counts?.get(view.id);
          return (
            <span key={view.id} className={style.tab}>
              <Link
                href={viewHref(view, since, until)}
                title={view.query}
                {...(isCurrent ? { "aria-current": "true" } : {})}
              >
                <Stranger value={view.name} most={40} />
                {events === undefined ? null : <small>{count(events)}</small>}
              </Link>
              {view.built_in || !isCurrent ? null : (
                <button
                  type="button"
                  aria-label={`Remove the view ${view.name}`}
                  title="Remove this view"
                  onClick={() => onRemove(view)}
                >
                  <Icon name="close" size={12} />
                </button>
              )}
            </span>
          );
        })}
      </nav>
      <Menu
        title="Views"
        choices={views.map((view, index) => {
          const href = viewHref(view, since, until);
          const about = index < 9 ? String(index + 1) : undefined;
          return { name: view.name, href, ...(about === undefined ? {} : { about }), onChoose: () => goTo(href) };
        })}
      >
        <Button kind="quiet" icon="down" aria-label={`All ${views.length} views`} title="All views" />
      </Menu>
    </>
  );
}

/** The address of a view; one without a time of its own keeps the page's. */
export function viewHref(view: View, since: string, until: string | undefined): string {
  const times = view.since == null ? timesOf(since, until) : { since: view.since };
  return hrefOf("/explore", { q: view.query, ...times, columns: columnsOf(view) });
}

function timesOf(
  since: string,
  until: string | undefined,
): { readonly since: string | undefined; readonly until: string | undefined } {
  return { since: since === "1d" && until === undefined ? undefined : since, until };
}

/** One after the other, so that the counts of tabs do not keep the page's own requests waiting. */
async function countEach(
  views: readonly View[],
  since: string,
  until: string | undefined,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { id, query: q } of views) {
    const selection = { q, since, budget: 200, ...(until === undefined ? {} : { until }) };
    const counted = await api.count(selection, signal).catch(() => undefined);
    if (signal.aborted) break;
    // A part of a count would mislead.
    if (counted?.done) counts.set(id, counted.events);
  }
  return counts;
}
