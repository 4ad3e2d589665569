/** The most frequent types, addresses, actors and routes, each against the time before. */
import { type ReactNode, useMemo } from "react";
import { useBefore, useFacets } from "../../data/facets.ts";
import { termFor } from "../../data/filters.ts";
import { change, isRise } from "../../data/numbers.ts";
import type { TimeRange } from "../../data/time-range.ts";
import { Failure } from "../../parts/failure.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { TopList } from "../../parts/top-list.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./overview.module.css";

interface Top {
  readonly field: string;
  readonly title: string;
  /** Whether its values have pages of their own. */
  readonly isEntity: boolean;
}

const TOPS: readonly Top[] = [
  { field: "type", title: "Types", isEntity: false },
  { field: "ip", title: "Addresses", isEntity: true },
  { field: "actor", title: "Actors", isEntity: true },
  { field: "route", title: "Routes", isEntity: true },
];
const SHOWN = 8;

export function Tops({ range }: { readonly range: TimeRange }): ReactNode {
  return (
    <section className={style.tops} aria-label="Most frequent, with the change against the time before">
      {TOPS.map((top) => (
        <TopPanel key={top.field} top={top} range={range} />
      ))}
    </section>
  );
}

function TopPanel({
  top: { field, title, isEntity },
  range,
}: {
  readonly top: Top;
  readonly range: TimeRange;
}): ReactNode {
  const { data, error, refetch } = useFacets({ range, fields: [field], limit: SHOWN });
  const facet = data?.facets[field];
  const values = useMemo(() => facet?.values.slice(0, SHOWN) ?? [], [facet]);
  const names = useMemo(() => values.map(({ name }) => name), [values]);
  const before = useBefore(range, field, names);
  const times = { since: range.since, until: range.until };
  const items = values.map(({ name, events }) => {
    const then = before?.get(name) ?? 0;
    return {
      id: name,
      name: <Stranger value={name} most={120} />,
      count: events,
      href: isEntity
        ? hrefOf(`/entities/${field}/${encodeURIComponent(name)}`, times)
        : hrefOf("/explore", { q: termFor(field, name), ...times }),
      ...(before === undefined || before.size === 0
        ? {}
        : { change: change(events, then), rises: isRise(events, then) }),
    };
  });
  return (
    <Panel title={title} about={facet?.approximate === true ? "an estimate" : undefined}>
      <div className={style.top}>
        {data === undefined && error !== null ? (
          <Failure error={error} onRetry={() => void refetch()} />
        ) : data === undefined ? (
          <Waiting />
        ) : items.length === 0 ? (
          <p className={style.none}>None in this time.</p>
        ) : (
          <TopList items={items} mono={isEntity} />
        )}
      </div>
    </Panel>
  );
}

/** As high as what comes. */
function Waiting(): ReactNode {
  return (
    <ul className={style.waitingList}>
      {Array.from({ length: SHOWN }, (_each, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are alike
        <li key={row}>
          <span className="skeleton" />
        </li>
      ))}
    </ul>
  );
}
