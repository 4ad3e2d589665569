/** What else happened: who did the same within a day, and what came after it from the same address or actor. */
import type { EventRecord, EventsPage } from "@seclog/api";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { termFor } from "../../data/filters.ts";
import { duration } from "../../data/numbers.ts";
import { WhatHappened } from "../../event/what-happened.tsx";
import { Level } from "../../parts/level.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Time } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./event.module.css";

const HOUR = 3_600_000;
const MOST = 6;

const timeFrom = (event: EventRecord, hours: number): string =>
  new Date(Date.parse(event.occurred_at) + hours * HOUR).toISOString();

/** The newest events of the same type in the day before it, and the hour after. */
export function SameType({ event }: { readonly event: EventRecord }): ReactNode {
  const selection = { q: termFor("type", event.event_type), since: timeFrom(event, -24), until: timeFrom(event, 1) };
  const answer = useRelated(["same-type", event.id], { ...selection, order: "newest" });
  return (
    <Panel
      title="Who else did this"
      about="the day before it, and an hour after"
      more={<Link href={hrefOf("/explore", selection)}>all</Link>}
    >
      <List event={event} answer={answer} nothing="No other event of this type." />
    </Panel>
  );
}

/** What the same actor, or else the same address, did in the hour after it. */
export function CameOfIt({ event }: { readonly event: EventRecord }): ReactNode {
  const [term, who] =
    event.actor_id !== undefined
      ? [termFor("actor", event.actor_id), "actor"]
      : event.ip_address !== undefined
        ? [termFor("ip", event.ip_address), "address"]
        : [undefined, ""];
  const selection = { q: term ?? "", since: event.occurred_at, until: timeFrom(event, 1) };
  const answer = useRelated(["came-of-it", event.id], { ...selection, order: "oldest" }, term !== undefined);
  if (term === undefined) {
    return (
      <Panel title="What came of it">
        <p className={style.none}>The event has no actor and no address to follow.</p>
      </Panel>
    );
  }
  return (
    <Panel
      title="What came of it"
      about={`the same ${who}, an hour after it`}
      more={<Link href={hrefOf("/explore", selection)}>all</Link>}
    >
      <List event={event} answer={answer} nothing={`Nothing else of this ${who} in that hour.`} />
    </Panel>
  );
}

function useRelated(
  key: readonly string[],
  selection: {
    readonly q: string;
    readonly since: string;
    readonly until: string;
    readonly order: "newest" | "oldest";
  },
  enabled = true,
): UseQueryResult<EventsPage> {
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => api.events({ ...selection, limit: MOST + 1 }, signal),
    enabled,
    staleTime: 60_000,
  });
}

function List({
  event,
  answer: { data, error },
  nothing,
}: {
  readonly event: EventRecord;
  readonly answer: UseQueryResult<EventsPage>;
  readonly nothing: string;
}): ReactNode {
  const others = data?.events.filter(({ id }) => id !== event.id).slice(0, MOST) ?? [];
  if (error !== null) return <p className={style.none}>The server did not answer this.</p>;
  if (data === undefined) return <p className={style.none}>searching …</p>;
  if (others.length === 0) {
    return <p className={style.none}>{data.done ? nothing : "Nothing found yet: “all” searches on."}</p>;
  }
  return (
    <ul className={style.related}>
      {others.map((each) => (
        <li key={each.id}>
          <Link href={hrefOf(`/events/${each.id}`)}>
            <Level level={each.level} as="mark" />
            <span className="cut">
              <WhatHappened event={each} />
            </span>
            <span className="cut mono t3">
              <Stranger value={each.ip_address ?? ""} most={60} />
            </span>
            <span className="t3">{offsetOf(event, each)}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** How long before or after the event: `+3.6 s`; the time where that says more. */
function offsetOf(event: EventRecord, other: EventRecord): ReactNode {
  const seconds = (Date.parse(other.occurred_at) - Date.parse(event.occurred_at)) / 1_000;
  if (Number.isNaN(seconds)) return <Time at={other.occurred_at} ms={false} />;
  return `${seconds < 0 ? "\u2212" : "+"}${duration(Math.abs(seconds))}`;
}
