/** A time in the reader's zone, with UTC and all its digits on hover. */
import type { ReactNode } from "react";
import { localTime, useNow } from "../data/clock.ts";
import { duration } from "../data/numbers.ts";

export interface TimeProps {
  readonly at: string;
  /** @default "time" */
  readonly show?: "time" | "day" | "both";
  /** @default true */
  readonly ms?: boolean;
}

export function Time({ at, show = "time", ms = true }: TimeProps): ReactNode {
  const local = localTime(at);
  return (
    <time dateTime={at} title={`${at} (UTC)`} className="nowrap">
      {show === "time" ? null : `${local.day}${show === "both" ? " " : ""}`}
      {show === "day" ? null : local.time}
      {show === "day" || !ms || local.ms === "" ? null : <span className="t3">.{local.ms}</span>}
    </time>
  );
}

/** How long ago, which counts on: `0.7 s`, `4 min`. */
export function Age({ at }: { readonly at: string }): ReactNode {
  const now = useNow();
  return (
    <time dateTime={at} title={`${at} (UTC)`} className="nowrap">
      {duration(Math.max(0, (now - Date.parse(at)) / 1_000))}
    </time>
  );
}
