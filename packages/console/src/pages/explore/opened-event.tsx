/** An event opened between the rows: what happened in words, its facts, what else happened around it, what to do next. */

import type { CatalogueResult, EventRecord } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { Fragment, type ReactNode } from "react";
import { api, cache } from "../../data/api.ts";
import { termFor } from "../../data/filters.ts";
import { count } from "../../data/numbers.ts";
import { WhatHappened } from "../../event/what-happened.tsx";
import { copy } from "../../frame/toasts.tsx";
import { Button, ButtonLink } from "../../parts/control.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Level } from "../../parts/level.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Link } from "../../routing/link.tsx";
import { goTo, hrefOf } from "../../routing/place.ts";
import { contextHref, contextsOf, nearest, timesAround, whatElseHref } from "./contexts.ts";
import { type Fact, recordFacts, requestFacts } from "./event-facts.ts";
import { Menu } from "./menu.tsx";
import style from "./opened.module.css";

const AROUND_MINUTES = 15;

export interface OpenedEventProps {
  readonly event: EventRecord;
  readonly onFilter: (field: string, value: string, how: "for" | "out") => void;
  readonly onDiffers: (event: EventRecord) => void;
}

export function OpenedEvent({ event, onFilter, onDiffers }: OpenedEventProps): ReactNode {
  const { data: detail } = useQuery({
    queryKey: ["event", event.id],
    queryFn: ({ signal }) => api.event(event.id, signal),
    staleTime: 60_000,
  });
  const leaf =
    detail === undefined ? "" : detail.leaf === null ? "not sealed yet" : `sealed, leaf ${count(detail.leaf)}`;
  const who = whatElseHref(event);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
    <div role="row" aria-level={2}>
      {/* biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: its controls have the focus */}
      <div role="gridcell" className={style.opened}>
        <div className={style.words}>
          <Level level={event.level} as="chip" />
          <span className={style.outcome}>{event.outcome}</span>
          <p>
            <WhatHappened event={event} />
          </p>
        </div>
        <Facts facts={requestFacts(event)} onFilter={onFilter} />
        <Facts facts={recordFacts(event, leaf)} onFilter={onFilter} />
        <Around event={event} />
        <div className={style.acts} data-acts>
          <ContextMenu event={event} />
          {who === undefined ? null : (
            <ButtonLink kind="quiet" icon="person" href={who}>
              What else <kbd>w</kbd>
            </ButtonLink>
          )}
          <Button kind="quiet" icon="differs" onClick={() => onDiffers(event)}>
            What differs here <kbd>d</kbd>
          </Button>
          <ButtonLink kind="quiet" icon="open" href={hrefOf(`/events/${event.id}`)}>
            Open <kbd>o</kbd>
          </ButtonLink>
          <Button
            kind="quiet"
            icon="copy"
            onClick={() => void copy(JSON.stringify(event, null, 2), "Event copied as JSON")}
          >
            Copy as JSON
          </Button>
          <Button kind="quiet" icon="link" onClick={() => void copy(location.href, "Link to exactly this copied")}>
            Copy link <kbd>y</kbd>
          </Button>
        </div>
      </div>
    </div>
  );
}

function Facts({
  facts,
  onFilter,
}: {
  readonly facts: readonly Fact[];
  readonly onFilter: OpenedEventProps["onFilter"];
}): ReactNode {
  return (
    <dl className={style.facts}>
      {facts.map(({ name, value, field, more }) =>
        value === undefined || value === null || value === "" ? null : (
          <Fragment key={name}>
            <dt className="cut" title={name}>
              <Stranger value={name} most={60} />
            </dt>
            <dd>
              <Stranger value={value} most={300} />
              {more === undefined || more === "" ? null : <span className="t3"> {more}</span>}
              {field === undefined || typeof value === "object" ? null : (
                <span className={style.act} data-acts>
                  <button
                    type="button"
                    aria-label={`Filter for this ${name}`}
                    title="Filter for"
                    onClick={() => onFilter(field, String(value), "for")}
                  >
                    <Icon name="equal" size={12} />
                  </button>
                  <button
                    type="button"
                    aria-label={`Filter out this ${name}`}
                    title="Filter out"
                    onClick={() => onFilter(field, String(value), "out")}
                  >
                    <Icon name="unequal" size={12} />
                  </button>
                </span>
              )}
            </dd>
          </Fragment>
        ),
      )}
    </dl>
  );
}

/** The types of the same address, or actor, within a quarter of an hour. */
function Around({ event }: { readonly event: EventRecord }): ReactNode {
  const own = nearest(event);
  const { since, until } = timesAround(event, AROUND_MINUTES);
  const { data } = useQuery({
    queryKey: ["around", own?.term, event.id],
    queryFn: ({ signal }) => api.facets({ q: own?.term ?? "", since, until, fields: "type", limit: 7 }, signal),
    enabled: own !== undefined,
    staleTime: 60_000,
  });
  if (own === undefined) return <div className={style.around} />;
  const values = data?.facets["type"]?.values ?? [];
  return (
    <div className={style.around}>
      <h2 className="cut">
        <Stranger value={own.value} most={60} />, {AROUND_MINUTES} minutes around it
      </h2>
      <ul>
        {values.slice(0, 6).map(({ name, events }) => (
          <li key={name}>
            <Level level={levelOf(name) ?? "info"} as="mark" />
            <Link className="cut" href={contextHref(`${own.term} ${termFor("type", name)}`, event, AROUND_MINUTES)}>
              <Stranger value={name} most={60} />
            </Link>
            <span>{count(events)}</span>
          </li>
        ))}
        {data === undefined ? <li className="t3">counting …</li> : null}
        {values.length > 6 ? <li className="t3">and more types</li> : null}
        {data?.done === false ? <li className="t3">counted in part</li> : null}
      </ul>
    </div>
  );
}

/** The level of a type, where the catalogue is loaded. */
function levelOf(type: string): string | undefined {
  return cache.getQueryData<CatalogueResult>(["catalogue"])?.types.find((each) => each.type === type)?.level;
}

function ContextMenu({ event }: { readonly event: EventRecord }): ReactNode {
  const choices = contextsOf(event).map(({ name, href }) => ({ name, href, onChoose: () => goTo(href) }));
  return (
    <Menu title="Neighbours, whatever the query is" choices={choices}>
      <Button kind="quiet" icon="context">
        Context <kbd>c</kbd>
        <Icon name="down" size={12} />
      </Button>
    </Menu>
  );
}
