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
import { entityHref } from "./event-row.tsx";
import { Menu } from "./menu.tsx";
import style from "./opened.module.css";

const MINUTE = 60_000;
const AROUND_MINUTES = 15;

export interface OpenedEventProps {
  readonly event: EventRecord;
  readonly onFilter: (field: string, value: string, how: "for" | "out") => void;
  readonly onDiffers: (event: EventRecord) => void;
}

interface Fact {
  readonly name: string;
  readonly value: unknown;
  /** The field that it filters by. */
  readonly field?: string;
  readonly more?: string;
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

function requestFacts(event: EventRecord): readonly Fact[] {
  const { method, method_original, status_code } = event;
  return [
    {
      name: "actor",
      value: event.actor_id,
      field: "actor",
      ...(event.actor_type === undefined ? {} : { more: event.actor_type }),
    },
    {
      name: "target",
      value: event.target_id,
      field: "target",
      ...(event.target_type === undefined ? {} : { more: event.target_type }),
    },
    {
      name: "address",
      value: event.ip_address,
      field: "ip",
      ...(event.ip_source === undefined ? {} : { more: `by ${event.ip_source}` }),
    },
    { name: "forwarded", value: event.ip_chain, field: "ip_chain" },
    { name: "agent", value: event.user_agent, field: "agent" },
    {
      name: "method",
      value: method_original ?? method,
      field: "method",
      more: event.allowed_methods === undefined ? "" : `allowed: ${event.allowed_methods}`,
    },
    { name: "path", value: event.path, field: "path" },
    { name: "route", value: event.route, field: "route" },
    { name: "status", value: status_code, field: "status" },
    { name: "host", value: event.request_host, field: "host" },
    { name: "request", value: event.request_id, field: "request" },
    { name: "trace", value: event.trace_id, field: "trace" },
  ];
}

function recordFacts(event: EventRecord, leaf: string): readonly Fact[] {
  const { data } = event;
  const members: readonly Fact[] =
    typeof data === "object" && data !== null && !Array.isArray(data)
      ? Object.entries(data).map(([name, value]) => ({ name: `data.${name}`, value, field: "data" }))
      : [{ name: "data", value: data }];
  return [
    { name: "type", value: event.event_type, field: "type" },
    { name: "occurred", value: event.occurred_at },
    {
      name: "service",
      value: event.service,
      field: "service",
      more: event.host === undefined ? "" : `on ${event.host}`,
    },
    { name: "number", value: event.seq, more: leaf },
    { name: "source", value: event.source_id, field: "source", more: `epoch ${event.epoch}` },
    ...members.slice(0, 12),
    ...(members.length > 12 ? [{ name: "data", value: `${members.length - 12} more: open the event` }] : []),
    { name: "occurrences", value: event.count },
    { name: "notes", value: event.notes },
    { name: "odd values", value: event.odd?.join(", ") },
    { name: "id", value: event.id },
  ];
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

function nearest(event: EventRecord): { readonly term: string; readonly value: string } | undefined {
  if (event.ip_address !== undefined) return { term: termFor("ip", event.ip_address), value: event.ip_address };
  if (event.actor_id !== undefined) return { term: termFor("actor", event.actor_id), value: event.actor_id };
  return undefined;
}

function timesAround(event: EventRecord, minutes: number): { readonly since: string; readonly until: string } {
  const at = Date.parse(event.occurred_at);
  return {
    since: new Date(at - minutes * MINUTE).toISOString(),
    until: new Date(at + minutes * MINUTE).toISOString(),
  };
}

/** The neighbours of an event, without the page's query. */
function contextHref(q: string, event: EventRecord, minutes: number): string {
  return hrefOf("/explore", { q: q === "" ? undefined : q, ...timesAround(event, minutes), open: event.id });
}

/** The contexts that an event has, the nearest first. */
export function contextsOf(event: EventRecord): readonly { readonly name: string; readonly href: string }[] {
  const { request_id, ip_address, actor_id, source_id } = event;
  return [
    ...(request_id === undefined
      ? []
      : [{ name: "This request", href: contextHref(termFor("request", request_id), event, 15) }]),
    ...(ip_address === undefined
      ? []
      : [{ name: "This address, an hour", href: contextHref(termFor("ip", ip_address), event, 30) }]),
    ...(actor_id === undefined
      ? []
      : [{ name: "This actor, an hour", href: contextHref(termFor("actor", actor_id), event, 30) }]),
    { name: "This source, ten minutes", href: contextHref(termFor("source", source_id), event, 5) },
    { name: "Everything, two minutes", href: contextHref("", event, 1) },
  ];
}

/** The page of the address, or of the actor. */
export function whatElseHref({ ip_address, actor_id }: EventRecord): string | undefined {
  if (ip_address !== undefined) return entityHref("ip", ip_address);
  return actor_id === undefined ? undefined : entityHref("actor", actor_id);
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
