/** Where an event stands in its source: the numbers just before and after it, and those that are missing between. */
import type { EventDetail, EventRecord } from "@seclog/api";
import { Fragment, type ReactNode } from "react";
import { count } from "../../data/numbers.ts";
import { Level } from "../../parts/level.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Time } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./event.module.css";
import { missingBetween } from "./missing-numbers.ts";

export function Sequence({ detail: { event, before, after } }: { readonly detail: EventDetail }): ReactNode {
  const all = [...before, event, ...after];
  return (
    <Panel
      title="Place in its source"
      about={`${event.host ?? event.service ?? "source"}, epoch ${event.epoch}`}
      more={
        <span className="wide-only">
          <kbd>[</kbd> <kbd>]</kbd>
        </span>
      }
    >
      <ol className={style.sequence}>
        {all.map((each, at) => (
          <Fragment key={each.id}>
            <Missing before={all[at - 1]} event={each} />
            <li className={each === event ? style.here : undefined}>
              <Link
                href={hrefOf(`/events/${each.id}`)}
                {...(each === event ? { "aria-current": "true" as const } : {})}
              >
                <span className="mono t3">{typeof each.seq === "number" ? count(each.seq) : each.seq}</span>
                <span className="mono t3">
                  <Time at={each.occurred_at} />
                </span>
                <Level level={each.level} as="mark" />
                <span className="cut">
                  <Stranger value={each.event_type} most={80} />
                </span>
              </Link>
            </li>
          </Fragment>
        ))}
      </ol>
    </Panel>
  );
}

function Missing({
  before,
  event,
}: {
  readonly before: EventRecord | undefined;
  readonly event: EventRecord;
}): ReactNode {
  const missing = before === undefined ? undefined : missingBetween(before.seq, event.seq);
  if (missing === undefined) return null;
  const { first, last } = missing;
  return (
    <li className={style.hole}>
      <span className="mono">{first === last ? count(first) : `${count(first)} to ${count(last)}`}</span>
      <span>{first === last ? "is" : "are"} not in the log</span>
    </li>
  );
}
