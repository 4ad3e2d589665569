/** What happened, in words: a sentence of counted facts whose values stand out. */
import type { EventRecord } from "@seclog/api";
import { Fragment, type ReactNode } from "react";
import { Stranger } from "../parts/stranger.tsx";

/** Words, and values as arrays of one. */
type Sentence = readonly (string | readonly [unknown])[];

export function WhatHappened({ event }: { readonly event: EventRecord }): ReactNode {
  return sentenceOf(event).map((part, index) =>
    typeof part === "string" ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a sentence keep their places
      <Fragment key={index}>{part}</Fragment>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a sentence keep their places
      <b key={index}>
        <Stranger value={part[0]} most={200} />
      </b>
    ),
  );
}

/** The same as plain text, for a title. */
export function whatHappened(event: EventRecord): string {
  return sentenceOf(event)
    .map((part) => (typeof part === "string" ? part : String(part[0])))
    .join("");
}

/** The members of an event's data, with the last value of each name. */
function dataOf({ data }: EventRecord): { readonly [name: string]: unknown } {
  return typeof data === "object" && data !== null && !Array.isArray(data) ? (data as { [name: string]: unknown }) : {};
}

function sentenceOf(event: EventRecord): Sentence {
  const data = dataOf(event);
  const who: readonly [unknown] | string =
    event.actor_id !== undefined ? [event.actor_id] : data["userid"] !== undefined ? [data["userid"]] : "someone";
  const reason: Sentence = data["reason"] === undefined ? [] : [": ", [data["reason"]]];
  const method: readonly [unknown] | string = event.method_original ?? event.method ?? "a method";
  const path: readonly [unknown] | string =
    event.path !== undefined ? [event.path] : event.route !== undefined ? [event.route] : "a request";
  switch (event.event_type) {
    case "authn_login_success":
      return [who, " signed in"];
    case "authn_login_successafterfail":
      return [
        who,
        " signed in",
        ...((data["retries"] === undefined
          ? [" after failures"]
          : [" after ", [`${data["retries"]} failures`]]) as Sentence),
      ];
    case "authn_login_fail":
      return ["sign-in as ", who, " failed", ...reason];
    case "authn_login_fail_max":
      return [
        who,
        " reached the limit of ",
        ...(data["maxlimit"] === undefined ? [] : ([[data["maxlimit"]], " "] as Sentence)),
        "failed sign-ins",
      ];
    case "authn_login_lock":
      return ["account ", who, " was locked", ...reason];
    case "authz_fail":
      return [who, " was refused ", data["resource"] === undefined ? path : [data["resource"]], ...reason];
    case "malicious_csrf":
      return ["CSRF check failed", ...reason];
    case "excess_rate_limit_exceeded":
      return ["more requests than allowed", ...(data["max"] === undefined ? [] : ([": ", [data["max"]]] as Sentence))];
    case "illegal_request_method":
      return [
        [method],
        " refused",
        ...(event.allowed_methods === undefined ? [] : (["; allowed: ", [event.allowed_methods]] as Sentence)),
      ];
    case "webhook_signature_failure":
      return [
        "webhook",
        ...(data["provider"] === undefined ? [] : ([" of ", [data["provider"]]] as Sentence)),
        ": signature refused",
        ...reason,
      ];
    case "malicious_attack_tool":
      return [
        "looks like ",
        data["toolname"] === undefined ? "an attack tool" : [data["toolname"]],
        ...(event.user_agent === undefined ? [] : ([": ", [event.user_agent]] as Sentence)),
      ];
    case "malicious_excess_404":
      return [
        "many paths that do not exist",
        ...(data["limit"] === undefined ? [] : ([", more than ", [data["limit"]]] as Sentence)),
      ];
    case "input_validation_fail":
      return [
        "input refused",
        ...(data["field"] === undefined && data["fields"] === undefined
          ? reason
          : ([": ", [data["fields"] ?? data["field"]]] as Sentence)),
      ];
    case "origin_rejected":
      return ["origin refused", ...(data["origin"] === undefined ? reason : ([": ", [data["origin"]]] as Sentence))];
    case "host_header_rejected":
      return ["host refused", ...(event.request_host === undefined ? [] : ([": ", [event.request_host]] as Sentence))];
    default: {
      const facts = Object.entries(data).filter(([, value]) => typeof value !== "object");
      if (facts.length > 0)
        return facts
          .slice(0, 4)
          .flatMap(([name, value], index): Sentence => [`${index === 0 ? "" : ", "}${name} `, [value]]);
      return event.path === undefined && event.route === undefined
        ? [event.event_type.replaceAll("_", " ")]
        : [`${event.event_type.replaceAll("_", " ")} at `, path];
    }
  }
}
