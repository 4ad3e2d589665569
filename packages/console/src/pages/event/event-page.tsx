/** The page Event: what happened, its facts, what else, the record as it is stored, its proof, its place in its source. */
import type { EventDetail } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { api } from "../../data/api.ts";
import { zoneName } from "../../data/clock.ts";
import { WhatHappened, whatHappened } from "../../event/what-happened.tsx";
import { Frame } from "../../frame/frame.tsx";
import { copy } from "../../frame/toasts.tsx";
import { type KeyBinding, useKeys } from "../../keyboard/keys.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Level } from "../../parts/level.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Time } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { goTo, hrefOf } from "../../routing/place.ts";
import style from "./event.module.css";
import { Facts } from "./facts.tsx";
import { ProofPanel } from "./proof-panel.tsx";
import { CameOfIt, SameType } from "./related.tsx";
import { Sequence } from "./sequence.tsx";

export function EventPage({ id }: { readonly id: string }): ReactNode {
  const { data, error, refetch } = useQuery({
    queryKey: ["event", id],
    queryFn: ({ signal }) => api.event(id, signal),
    staleTime: 60_000,
    // Until it is sealed.
    refetchInterval: ({ state }) => (state.data?.leaf === null ? 3_000 : false),
  });
  const keys = useMemo(() => keysOf(data), [data]);
  useKeys(keys);
  const title = data === undefined ? "Event" : whatHappened(data.event).slice(0, 120);
  return (
    <Frame
      title={title}
      hasTime={false}
      head={
        <>
          <span className={style.crumb}>
            <Link href={hrefOf("/explore")}>Explore</Link>
            <Icon name="right" size={12} />
          </span>
          <h1 className="cut">{data === undefined ? "Event" : <Stranger value={title} most={120} />}</h1>
        </>
      }
    >
      {data !== undefined ? (
        <Shown asked={id} detail={data} key={data.event.id} />
      ) : error !== null ? (
        <Failure error={error} onRetry={() => void refetch()} />
      ) : null}
    </Frame>
  );
}

function Shown({ asked, detail }: { readonly asked: string; readonly detail: EventDetail }): ReactNode {
  const { event } = detail;
  return (
    <div className={style.page}>
      <div>
        <Lead detail={detail} />
        <Panel title="Facts" about="click a value to filter for it" className={style.section ?? ""}>
          <Facts event={event} />
        </Panel>
        <div className={`${style.columns} ${style.section}`}>
          <SameType event={event} />
          <CameOfIt event={event} />
        </div>
        <Raw event={event} />
      </div>
      <aside aria-label="Proof and place">
        <ProofPanel asked={asked} detail={detail} />
        <Sequence detail={detail} />
      </aside>
    </div>
  );
}

function Lead({ detail: { event } }: { readonly detail: EventDetail }): ReactNode {
  const { data: catalogue } = useQuery({
    queryKey: ["catalogue"],
    queryFn: ({ signal }) => api.catalogue(signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const meaning = catalogue?.types.find(({ type }) => type === event.event_type)?.description;
  return (
    <div className={style.lead}>
      <div className={style.meta}>
        <Level level={event.level} as="chip" />
        <span className={style.outcome}>{event.outcome}</span>
        <span className="mono t2">
          <Stranger value={event.event_type} most={80} />
        </span>
        <span>
          <Time at={event.occurred_at} show="both" />{" "}
          <span className="t3">{zoneName(new Date(event.occurred_at))}</span>
        </span>
        {event.service === undefined ? null : (
          <span>
            <Stranger value={event.service} most={80} />
            {event.host === undefined ? null : (
              <>
                {" on "}
                <Stranger value={event.host} most={80} />
              </>
            )}
          </span>
        )}
      </div>
      <p className={style.sentence}>
        <WhatHappened event={event} />
      </p>
      <p className={style.meaning}>
        {meaning ??
          (catalogue === undefined ? "" : "This type is not of the OWASP vocabulary: the application named it.")}
      </p>
    </div>
  );
}

function Raw({ event }: { readonly event: EventDetail["event"] }): ReactNode {
  const text = JSON.stringify(event, null, 2);
  return (
    <Panel
      title="Raw record"
      about="as stored; the lines that are hashed come with the proof"
      more={
        <button type="button" onClick={() => void copy(text, "Record copied as JSON")}>
          copy
        </button>
      }
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide lines scroll, also by the keyboard */}
      <pre className={style.raw} id="raw" tabIndex={0}>
        {text.split("\n").map((line, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line's place is its name
          <span key={at}>
            <Stranger value={line} />
            {"\n"}
          </span>
        ))}
      </pre>
    </Panel>
  );
}

function keysOf(detail: EventDetail | undefined): readonly KeyBinding[] {
  const go = (to: EventDetail["event"] | undefined): void => {
    if (to !== undefined) goTo(hrefOf(`/events/${to.id}`));
  };
  return [
    {
      keys: "[",
      label: "The event before it in its source",
      group: "Event",
      hint: "in its source",
      run: () => go(detail?.before.at(-1)),
    },
    {
      keys: "]",
      label: "The event after it in its source",
      group: "Event",
      hint: "in its source",
      run: () => go(detail?.after[0]),
    },
    {
      keys: "r",
      label: "The raw record",
      group: "Event",
      hint: "raw",
      run: () => document.getElementById("raw")?.focus(),
    },
  ];
}
