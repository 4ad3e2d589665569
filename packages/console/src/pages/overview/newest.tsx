/** The newest events that are worth a look. Alerts, which group such events, come with detections. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import type { TimeRange } from "../../data/time-range.ts";
import { WhatHappened } from "../../event/what-happened.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Level } from "../../parts/level.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Age } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./overview.module.css";

const WORTH_A_LOOK = "level>=error or type:*_successafterfail";

export function Newest({ range }: { readonly range: TimeRange }): ReactNode {
  const { data, error, refetch } = useQuery({
    queryKey: ["newest", range],
    queryFn: ({ signal }) =>
      api.events(
        { q: WORTH_A_LOOK, since: range.since, ...(range.until === undefined ? {} : { until: range.until }), limit: 8 },
        signal,
      ),
    ...(range.until === undefined ? { refetchInterval: 10_000 } : {}),
  });
  return (
    <Panel
      title="Worth a look"
      about="newest first"
      more={<Link href={hrefOf("/explore", { q: WORTH_A_LOOK, since: range.since, until: range.until })}>all</Link>}
    >
      {error !== null && data === undefined ? <Failure error={error} onRetry={() => void refetch()} /> : null}
      <ul className={style.newest}>
        {data?.events.map((event) => (
          <li key={event.id}>
            <Level level={event.level} as="mark" />
            <Link className="cut b" href={hrefOf(`/events/${event.id}`)}>
              {event.event_type}
            </Link>
            <span className="t3">
              <Age at={event.occurred_at} />
            </span>
            <span className="t2 cut">
              <WhatHappened event={event} />
            </span>
            <span className="t3 s11 cut">
              {event.ip_address === undefined ? event.service : <Stranger value={event.ip_address} />}
            </span>
          </li>
        ))}
        {data?.events.length === 0 ? <li className="t3">Nothing in this time.</li> : null}
      </ul>
    </Panel>
  );
}
