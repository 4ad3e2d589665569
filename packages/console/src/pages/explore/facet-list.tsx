/** What the events that match have, by field, with counts; a value filters for itself or out. */
import type { FacetsResult } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { facetsInParts } from "../../data/facets.ts";
import { count } from "../../data/numbers.ts";
import { Icon } from "../../parts/icon.tsx";
import { Level } from "../../parts/level.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import style from "./facets.module.css";
import { hasValue, leavesOut } from "./query-terms.ts";
import type { PageSelection } from "./use-event-search.ts";

const GROUPS: readonly {
  readonly field: string;
  readonly name: string;
  readonly shown: number;
  readonly mono?: true;
}[] = [
  { field: "level", name: "Level", shown: 5 },
  { field: "outcome", name: "Outcome", shown: 3 },
  { field: "type", name: "Type", shown: 6 },
  { field: "ip", name: "Address", shown: 5, mono: true },
  { field: "actor", name: "Actor", shown: 4, mono: true },
  { field: "status", name: "Status", shown: 5 },
  { field: "route", name: "Route", shown: 4, mono: true },
  { field: "service", name: "Service", shown: 4 },
];

/** Asked for apart, so that what is quick to count does not wait. */
const QUICK = "level,outcome,type,service";
const SLOW = "ip,actor,status,route";
const LIMIT = 50;

export interface FacetListProps {
  readonly selection: PageSelection;
  readonly isReadable: boolean;
  readonly onFilter: (field: string, value: string, how: "for" | "out") => void;
}

export function FacetList({ selection, isReadable, onFilter }: FacetListProps): ReactNode {
  const quick = useFacets(QUICK, selection, isReadable);
  const slow = useFacets(SLOW, selection, isReadable);
  return GROUPS.map(({ field, name, shown, mono }) => {
    const answer = QUICK.split(",").includes(field) ? quick : slow;
    const facet = answer?.facets[field];
    const values = facet?.values ?? [];
    const most = Math.max(1, ...values.map(({ events }) => events));
    const counted = values.length >= LIMIT ? `${LIMIT} or more` : values.length > shown ? count(values.length) : "";
    return (
      <section key={field} className={style.facet} aria-label={name}>
        <h2>
          {name}
          {answer !== undefined && !answer.done ? <span>counting …</span> : null}
          {answer === undefined || !answer.done ? null : (
            <span title={facet?.approximate ? "Counts may be too low: there are very many values" : undefined}>
              {facet?.approximate ? `about ${counted}` : counted}
            </span>
          )}
        </h2>
        <ul>
          {answer === undefined && isReadable
            ? Array.from({ length: shown }, (_, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
                <li key={index}>
                  <span className={`skeleton ${style.coming}`} />
                </li>
              ))
            : null}
          {values.slice(0, shown).map((value) => (
            <Value
              key={value.name}
              name={value.name}
              events={value.events}
              share={value.events / most}
              isMono={mono === true}
              isLevel={field === "level"}
              isFor={hasValue(selection.q, field, value.name)}
              isOut={leavesOut(selection.q, field, value.name)}
              onFilter={(how) => onFilter(field, value.name, how)}
            />
          ))}
          {answer !== undefined && values.length === 0 ? (
            <li className="t3">{answer.done ? "no value" : "…"}</li>
          ) : null}
        </ul>
      </section>
    );
  });
}

interface ValueProps {
  readonly name: string;
  readonly events: number;
  readonly share: number;
  readonly isMono: boolean;
  readonly isLevel: boolean;
  readonly isFor: boolean;
  readonly isOut: boolean;
  readonly onFilter: (how: "for" | "out") => void;
}

function Value({ name, events, share, isMono, isLevel, isFor, isOut, onFilter }: ValueProps): ReactNode {
  const short = name.slice(0, 60);
  return (
    <li data-on={isFor || isOut}>
      <i style={{ width: `${Math.max(1, share * 100)}%` }} />
      <button
        type="button"
        className={isMono ? "cut mono" : "cut"}
        aria-pressed={isFor}
        onClick={() => onFilter("for")}
        title={`Filter for ${short}`}
      >
        {isLevel ? <Level level={name} /> : <Stranger value={name} most={60} />}
      </button>
      <span className={style.count}>{count(events)}</span>
      <span className={style.act}>
        <button type="button" aria-label={`Filter for ${short}`} title="Filter for  f" onClick={() => onFilter("for")}>
          <Icon name="equal" size={14} />
        </button>
        <button type="button" aria-label={`Filter out ${short}`} title="Filter out  x" onClick={() => onFilter("out")}>
          <Icon name="unequal" size={14} />
        </button>
      </span>
    </li>
  );
}

function useFacets(fields: string, { q, since, until }: PageSelection, isReadable: boolean): FacetsResult | undefined {
  const key = ["facets", fields, q, since, until];
  const { data } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      facetsInParts(key, { fields, q, since, limit: LIMIT, ...(until === undefined ? {} : { until }) }, signal),
    enabled: isReadable,
    placeholderData: (previous) => previous,
  });
  return data;
}
