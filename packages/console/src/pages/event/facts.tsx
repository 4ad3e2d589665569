/** Every column of an event, in two lists: of the request, and of the record. A value filters for or out. */
import type { EventRecord } from "@seclog/api";
import { Fragment, type ReactNode } from "react";
import { termFor } from "../../data/filters.ts";
import { Icon } from "../../parts/icon.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./event.module.css";

/** Columns of who asked for what, in this order, with the field that filters by each. */
const REQUEST: readonly (readonly [keyof EventRecord, string?])[] = [
  ["actor_id", "actor"],
  ["actor_type"],
  ["target_id", "target"],
  ["target_type"],
  ["ip_address", "ip"],
  ["ip_source"],
  ["ip_chain"],
  ["user_agent", "agent"],
  ["method", "method"],
  ["method_original"],
  ["allowed_methods"],
  ["path", "path"],
  ["route", "route"],
  ["status_code", "status"],
  ["request_host", "host"],
  ["request_id", "request"],
  ["trace_id", "trace"],
  ["span_id"],
];
const RECORD: readonly (readonly [keyof EventRecord, string?])[] = [
  ["event_type", "type"],
  ["level", "level"],
  ["category", "category"],
  ["outcome", "outcome"],
  ["service", "service"],
  ["environment"],
  ["host"],
  ["logger"],
  ["occurred_at"],
  ["created_at"],
  ["started_at"],
  ["ended_at"],
  ["count"],
  ["source_id", "source"],
  ["epoch"],
  ["seq"],
  ["v"],
  ["id"],
  ["notes"],
  ["odd"],
];
/** Columns whose values have a page. */
const ENTITIES: { readonly [column: string]: string } = {
  actor_id: "actor",
  target_id: "target",
  ip_address: "ip",
  route: "route",
  service: "service",
};

export function Facts({ event }: { readonly event: EventRecord }): ReactNode {
  const { data } = event;
  const members: readonly (readonly [string, unknown])[] =
    data === undefined
      ? []
      : typeof data === "object" && data !== null && !Array.isArray(data)
        ? Object.entries(data).map(([name, value]) => [`data.${name}`, value] as const)
        : [["data", data]];
  return (
    <div className={style.columns}>
      <dl className={style.facts}>
        {REQUEST.map(([column, field]) => (
          <Fact key={column} name={column} value={event[column]} {...(field === undefined ? {} : { field })} />
        ))}
        {members.map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
      </dl>
      <dl className={style.facts}>
        {RECORD.map(([column, field]) => (
          <Fact key={column} name={column} value={event[column]} {...(field === undefined ? {} : { field })} />
        ))}
      </dl>
    </div>
  );
}

function Fact({
  name,
  value,
  field,
}: {
  readonly name: string;
  readonly value: unknown;
  readonly field?: string;
}): ReactNode {
  if (value === undefined || value === null) return null;
  const text = String(value);
  const term = field === undefined ? undefined : termFor(field, text);
  const kind = ENTITIES[name];
  return (
    <Fragment>
      <dt className="cut" title={name}>
        <Stranger value={name} most={60} />
      </dt>
      <dd>
        {term === undefined ? (
          <Stranger value={value} />
        ) : (
          <Link className={style.value ?? ""} href={hrefOf("/explore", { q: term, since: "7d" })} title="Filter for it">
            <Stranger value={value} />
          </Link>
        )}
        {term === undefined ? null : (
          <span className={style.act}>
            <Link
              href={hrefOf("/explore", { q: `-${term}`, since: "7d" })}
              aria-label={`Filter out this ${name}`}
              title="Filter out"
            >
              <Icon name="unequal" size={12} />
            </Link>
            {kind === undefined ? null : (
              <Link
                href={hrefOf(`/entities/${kind}/${encodeURIComponent(text)}`)}
                aria-label={`The page of this ${name}`}
                title="Its page"
              >
                <Icon name="open" size={12} />
              </Link>
            )}
          </span>
        )}
      </dd>
    </Fragment>
  );
}
