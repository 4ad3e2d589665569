/** The time that pages look at: `since` and `until` of the address, an age such as `1d` or a moment. */
import { useMemo } from "react";
import { changeSearch, usePlace } from "../routing/place.ts";

export interface TimeRange {
  readonly since: string;
  /** `undefined`: until now. */
  readonly until: string | undefined;
}

/** The ranges that a click chooses. */
export const RANGES: readonly { readonly since: string; readonly label: string; readonly key: string }[] = [
  { since: "15m", label: "Last 15 minutes", key: "1" },
  { since: "1h", label: "Last hour", key: "2" },
  { since: "6h", label: "Last 6 hours", key: "3" },
  { since: "1d", label: "Last 24 hours", key: "4" },
  { since: "7d", label: "Last 7 days", key: "5" },
  { since: "30d", label: "Last 30 days", key: "6" },
  { since: "90d", label: "Last 90 days", key: "7" },
];

const DEFAULT_SINCE = "1d";

/** The range of the address. */
export function useTimeRange(): TimeRange {
  const { search } = usePlace();
  const since = search.get("since") ?? DEFAULT_SINCE;
  const until = search.get("until") ?? undefined;
  return useMemo(() => ({ since, until }), [since, until]);
}

export function setTimeRange({ since, until }: { readonly since: string; readonly until?: string | undefined }): void {
  changeSearch({ since: since === DEFAULT_SINCE && until === undefined ? undefined : since, until });
}

const UNITS: { readonly [unit: string]: number } = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** An age such as `6h` in milliseconds; `undefined` for a moment. */
function ageOf(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  const length = UNITS[unit];
  return amount === undefined || length === undefined ? undefined : Number(amount) * length;
}

/** The range as moments in milliseconds. */
export function momentsOf({ since, until }: TimeRange, now: number): { readonly from: number; readonly to: number } {
  const at = (text: string): number => {
    const age = ageOf(text);
    return age === undefined ? Date.parse(text) : now - age;
  };
  return { from: at(since), to: until === undefined ? now : at(until) };
}

/** The range of the same length before it, to compare with. */
export function periodBefore(range: TimeRange, now: number): { readonly since: string; readonly until: string } {
  const { from, to } = momentsOf(range, now);
  return { since: new Date(from - (to - from)).toISOString(), until: new Date(from).toISOString() };
}
