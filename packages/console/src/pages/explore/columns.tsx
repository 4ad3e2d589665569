/** The columns of the rows: what each shows, and what a click on it filters by. */
import type { EventRecord } from "@seclog/api";
import type { ReactNode } from "react";
import { localTime } from "../../data/clock.ts";
import { WhatHappened } from "../../event/what-happened.tsx";
import { Level } from "../../parts/level.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Time } from "../../parts/time.tsx";
import style from "./rows.module.css";

export interface Column {
  /** In the address. */
  readonly id: string;
  readonly name: string;
  /** In pixels; the last column takes what is left. */
  readonly width: number;
  /** The field that its value filters by. */
  readonly field?: string;
  /** The value that a filter compares; `undefined` if the event has none. */
  readonly value: (event: EventRecord) => string | undefined;
  readonly show?: (event: EventRecord) => ReactNode;
  readonly isMono?: boolean;
}

/** What the page of an entity is called, by field. */
export const ENTITY_KINDS: { readonly [field: string]: string } = {
  ip: "ip",
  actor: "actor",
  target: "target",
  route: "route",
  service: "service",
  request: "request",
};

const text = (value: unknown): string | undefined =>
  value === undefined || value === null ? undefined : String(value as string | number);

const plain = (id: string, name: string, width: number, field: string, key: keyof EventRecord): Column => ({
  id,
  name,
  width,
  field,
  value: (event) => text(event[key]),
});

const mono = (...args: Parameters<typeof plain>): Column => ({ ...plain(...args), isMono: true });

/** In the order of the menu. */
export const COLUMNS: readonly Column[] = [
  {
    id: "time",
    name: "Time",
    width: 118,
    value: () => undefined,
    show: ({ occurred_at }) => <TimeOrDay at={occurred_at} />,
    isMono: true,
  },
  { ...plain("level", "Level", 82, "level", "level"), show: ({ level }) => <Level level={level} /> },
  {
    ...plain("type", "Type", 190, "type", "event_type"),
    show: ({ event_type, level }) => (
      <>
        <span className={style.narrowLevel}>
          <Level level={level} as="mark" />
        </span>
        <Stranger value={event_type} most={120} />
      </>
    ),
  },
  mono("address", "Address", 124, "ip", "ip_address"),
  mono("actor", "Actor", 96, "actor", "actor_id"),
  {
    id: "request",
    name: "Request",
    width: 208,
    isMono: true,
    field: "route",
    value: ({ route }) => route,
    show: (event) => <Request event={event} />,
  },
  {
    id: "what",
    name: "What happened",
    width: 240,
    value: () => undefined,
    show: (event) => (
      <span className={style.what}>
        {Number(event.count ?? 1) > 1 ? <span className="tag">×{event.count}</span> : null}
        <WhatHappened event={event} />
        {event.outcome === "success" && event.category !== "log" && event.level !== "info" ? (
          <span className="tag">success</span>
        ) : null}
      </span>
    ),
  },
  {
    id: "date",
    name: "Date and time",
    width: 196,
    value: () => undefined,
    show: ({ occurred_at }) => <Time at={occurred_at} show="both" />,
    isMono: true,
  },
  plain("outcome", "Outcome", 80, "outcome", "outcome"),
  plain("category", "Category", 96, "category", "category"),
  plain("service", "Service", 110, "service", "service"),
  plain("machine", "Machine", 90, "host", "host"),
  {
    id: "source",
    name: "Source, number",
    width: 150,
    isMono: true,
    field: "source",
    value: ({ source_id }) => source_id,
    show: ({ source_id, seq }) => `${source_id.slice(0, 8)} ${seq}`,
  },
  mono("path", "Path", 200, "path", "path"),
  mono("method", "Method", 72, "method", "method"),
  mono("status", "Status", 60, "status", "status_code"),
  mono("host", "Host asked for", 160, "host", "request_host"),
  plain("agent", "Agent", 220, "agent", "user_agent"),
  mono("target", "Target", 110, "target", "target_id"),
  mono("id-of-request", "Request id", 150, "request", "request_id"),
  mono("trace", "Trace", 150, "trace", "trace_id"),
];

export const DEFAULT_COLUMNS: readonly string[] = ["time", "level", "type", "address", "actor", "request", "what"];
/** Below 1180 px. */
const FEWER_COLUMNS: readonly string[] = ["time", "level", "type", "address", "what"];

const DATA = /^data\.([\w-]{1,60})$/;

/** The columns of the address; unknown names are left out. */
export function columnsNamed(names: string | undefined, isWide: boolean): readonly Column[] {
  const ids = names?.split(",") ?? (isWide ? DEFAULT_COLUMNS : FEWER_COLUMNS);
  const columns = [...new Set(ids)].flatMap((id) => columnNamed(id) ?? []);
  return columns.length > 0 ? columns : columnsNamed(undefined, isWide);
}

function columnNamed(id: string): Column | undefined {
  const name = DATA.exec(id)?.[1];
  if (name === undefined) return COLUMNS.find((column) => column.id === id);
  return {
    id,
    name: id,
    width: 150,
    isMono: true,
    field: "data",
    value: ({ data }) => {
      const value = memberOf(data, name);
      return value === undefined || typeof value === "object" ? undefined : String(value);
    },
    show: ({ data }) => {
      const value = memberOf(data, name);
      return value === undefined ? null : <Stranger value={value} most={120} />;
    },
  };
}

function memberOf(data: unknown, name: string): unknown {
  return typeof data === "object" && data !== null && Object.hasOwn(data, name)
    ? (data as { [name: string]: unknown })[name]
    : undefined;
}

/** The names of data that the rows have, the most frequent first, with how many have it. */
export function dataColumns(
  events: readonly EventRecord[],
): readonly { readonly id: string; readonly events: number }[] {
  const counts = new Map<string, number>();
  for (const { data } of events.slice(0, 1_000)) {
    if (typeof data !== "object" || data === null || Array.isArray(data)) continue;
    for (const name of Object.keys(data)) {
      const id = `data.${name}`;
      if (DATA.test(id)) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return [...counts]
    .map(([id, events]) => ({ id, events }))
    .sort((a, b) => b.events - a.events)
    .slice(0, 8);
}

/** The time with milliseconds; of another day, the day and the time. */
function TimeOrDay({ at }: { readonly at: string }): ReactNode {
  const { day, time } = localTime(at);
  if (day === localTime(new Date().toISOString()).day) return <Time at={at} />;
  return (
    <time dateTime={at} title={`${at} (UTC)`} className="nowrap">
      <span className="t3">{day.slice(5)}</span> {time}
    </time>
  );
}

function Request({ event }: { readonly event: EventRecord }): ReactNode {
  const { method, method_original, route, path, status_code, service } = event;
  if (method === undefined && path === undefined)
    return service === undefined ? null : (
      <span className="t3">
        <Stranger value={service} most={60} />
      </span>
    );
  return (
    <>
      <span className="t3">
        <Stranger value={method_original ?? method ?? ""} most={20} />
      </span>{" "}
      <Stranger value={route ?? path ?? ""} most={120} /> <span className="t3">{status_code}</span>
    </>
  );
}
