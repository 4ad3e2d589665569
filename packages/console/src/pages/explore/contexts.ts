/** The neighbours of an event: the same request, address, actor or source around its time, whatever the page's query is. */
import type { EventRecord } from "@seclog/api";
import { termFor } from "../../data/filters.ts";
import { hrefOf } from "../../routing/place.ts";
import { entityHref } from "./event-row.tsx";

const MINUTE = 60_000;

/** What the event is nearest to: its address, or else its actor. */
export function nearest(event: EventRecord): { readonly term: string; readonly value: string } | undefined {
  if (event.ip_address !== undefined) return { term: termFor("ip", event.ip_address), value: event.ip_address };
  if (event.actor_id !== undefined) return { term: termFor("actor", event.actor_id), value: event.actor_id };
  return undefined;
}

export function timesAround(event: EventRecord, minutes: number): { readonly since: string; readonly until: string } {
  const at = Date.parse(event.occurred_at);
  return {
    since: new Date(at - minutes * MINUTE).toISOString(),
    until: new Date(at + minutes * MINUTE).toISOString(),
  };
}

/** The neighbours of an event, without the page's query. */
export function contextHref(q: string, event: EventRecord, minutes: number): string {
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
