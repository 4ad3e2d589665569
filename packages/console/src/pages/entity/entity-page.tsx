/** An address, an actor, a route …: what it did, when, and with what. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { useTimeline } from "../../data/facets.ts";
import { termFor } from "../../data/filters.ts";
import { count } from "../../data/numbers.ts";
import { setTimeRange, useTimeRange } from "../../data/time-range.ts";
import { WhatHappened } from "../../event/what-happened.tsx";
import { Frame } from "../../frame/frame.tsx";
import { ButtonLink } from "../../parts/control.tsx";
import { Failure, Nothing } from "../../parts/failure.tsx";
import { Histogram } from "../../parts/histogram.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Level } from "../../parts/level.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Time } from "../../parts/time.tsx";
import { TopList } from "../../parts/top-list.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./entity.module.css";

type EntityKind = Parameters<typeof api.entity>[0];

const KINDS: { readonly [kind: string]: string } = {
  ip: "Address",
  actor: "Actor",
  target: "Target",
  route: "Route",
  service: "Service",
};

/** Fields that tell an entity apart, without its own. */
const FIELDS: readonly { readonly field: string; readonly title: string; readonly isEntity: boolean }[] = [
  { field: "type", title: "Types", isEntity: false },
  { field: "actor", title: "Actors", isEntity: true },
  { field: "ip", title: "Addresses", isEntity: true },
  { field: "route", title: "Routes", isEntity: true },
  { field: "agent", title: "Agents", isEntity: false },
];
const SHOWN = 10;

export function EntityPage({ kind, value }: { readonly kind: string; readonly value: string }): ReactNode {
  const title = KINDS[kind];
  if (title === undefined)
    return (
      <Frame title="Not found" hasTime={false}>
        <Nothing title={`This kind has no pages: ${kind}`}>
          <p>Look for it in Explore instead.</p>
        </Nothing>
      </Frame>
    );
  return <Entity key={`${kind} ${value}`} kind={kind} title={title} value={value} />;
}

function Entity({
  kind,
  title,
  value,
}: {
  readonly kind: string;
  readonly title: string;
  readonly value: string;
}): ReactNode {
  const range = useTimeRange();
  const times = { since: range.since, until: range.until };
  const selection = { since: range.since, ...(range.until === undefined ? {} : { until: range.until }) };
  const q = termFor(kind, value);
  const fields = FIELDS.filter(({ field }) => field !== kind);
  const { data, error, refetch } = useQuery({
    queryKey: ["entity", kind, value, range],
    // The server records who opens the page of an entity.
    queryFn: ({ signal }) => api.entity(kind as EntityKind, value, { ...selection, budget: 5_000 }, signal),
    ...(range.until === undefined ? { refetchInterval: 30_000 } : {}),
  });
  const timeline = useTimeline(range, q);
  const { data: newest } = useQuery({
    queryKey: ["entity-events", q, range],
    queryFn: ({ signal }) => api.events({ q, ...selection, limit: 12 }, signal),
    refetchInterval: 10_000,
  });
  const total = timeline.data?.buckets.reduce((sum, { events }) => sum + events, 0);

  return (
    <Frame
      title={value}
      head={
        <>
          <Link className={style.crumb ?? ""} href={hrefOf("/explore", times)}>
            Explore <Icon name="right" size={12} />
          </Link>
          <h1 className="mono cut">
            <Stranger value={value} most={120} />
          </h1>
        </>
      }
      foot={
        total === undefined
          ? ""
          : `${count(total)} events in this time${data?.done === false ? "; the lists count a part of them" : ""}`
      }
    >
      <section className={style.head} aria-label="Facts">
        <div>
          <div className="t3 s11">{title}</div>
          <div className={style.value}>
            <Stranger value={value} most={300} />
          </div>
        </div>
        <dl>
          <div>
            <dt>Events in this time</dt>
            <dd>{total === undefined ? <span className="skeleton" /> : count(total)}</dd>
          </div>
          <div>
            <dt>First in this time</dt>
            <dd>{data?.first_seen == null ? "none" : <Time at={data.first_seen} show="both" ms={false} />}</dd>
          </div>
          <div>
            <dt>Last in this time</dt>
            <dd>{data?.last_seen == null ? "none" : <Time at={data.last_seen} show="both" ms={false} />}</dd>
          </div>
        </dl>
        <span className={style.do}>
          {kind === "ip" && networkOf(value) !== undefined ? (
            <ButtonLink icon="explore" href={hrefOf("/explore", { q: `ip:${networkOf(value)}`, ...times })}>
              Same network
            </ButtonLink>
          ) : null}
          <ButtonLink icon="explore" href={hrefOf("/explore", { q, ...times })}>
            Explore
          </ButtonLink>
        </span>
      </section>
      {error !== null && data === undefined ? <Failure error={error} onRetry={() => void refetch()} /> : null}
      <section className={style.time} aria-label="Over time">
        {timeline.data === undefined ? null : (
          <Histogram
            timeline={timeline.data}
            onBrush={(from, to) =>
              setTimeRange({ since: new Date(from).toISOString(), until: new Date(to).toISOString() })
            }
          />
        )}
      </section>
      <div className={style.lists}>
        {fields.map(({ field, title: name, isEntity }) => {
          const facet = data?.facets[field];
          return (
            <Panel key={field} title={name} about={facet?.approximate === true ? "an estimate" : undefined}>
              <div className={style.list}>
                {facet === undefined ? null : facet.values.length === 0 ? (
                  <p className={style.none}>None in this time.</p>
                ) : (
                  <TopList
                    mono={isEntity}
                    items={facet.values.slice(0, SHOWN).map((each) => ({
                      id: each.name,
                      name: <Stranger value={each.name} most={120} />,
                      count: each.events,
                      href: isEntity
                        ? hrefOf(`/entities/${field}/${encodeURIComponent(each.name)}`, times)
                        : hrefOf("/explore", { q: `${q} ${termFor(field, each.name)}`, ...times }),
                    }))}
                  />
                )}
              </div>
            </Panel>
          );
        })}
      </div>
      <Panel title="Newest events" more={<Link href={hrefOf("/explore", { q, ...times })}>all</Link>}>
        <ul className={style.events}>
          {newest?.events.map((event) => (
            <li key={event.id}>
              <Time at={event.occurred_at} show="both" />
              <Level level={event.level} as="mark" />
              <Link className="cut b" href={hrefOf(`/events/${event.id}`)}>
                {event.event_type}
              </Link>
              <span className="cut t2">
                <WhatHappened event={event} />
              </span>
            </li>
          ))}
        </ul>
      </Panel>
    </Frame>
  );
}

/** The /24 of an IPv4 address. */
function networkOf(address: string): string | undefined {
  const [, network] = /^(\d+\.\d+\.\d+)\.\d+$/.exec(address) ?? [];
  return network === undefined ? undefined : `${network}.0/24`;
}
