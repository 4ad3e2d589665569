/** Times in the reader's zone. The log's are UTC with microseconds, which no Date can hold: the digits stay text. */
import { useSyncExternalStore } from "react";

const pad = (value: number): string => String(value).padStart(2, "0");

/** `2026-11-30` and `14:31:58` in the reader's zone, with the milliseconds apart. */
export function localTime(at: string): { readonly day: string; readonly time: string; readonly ms: string } {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return { day: at, time: "", ms: "" };
  return {
    day: `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`,
    time: `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`,
    ms: String(date.getMilliseconds()).padStart(3, "0"),
  };
}

/** `UTC+1`, `UTC+5:30` at a moment. */
export function zoneName(at: Date = new Date()): string {
  const minutes = -at.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${pad(size % 60)}`;
  return `UTC${minutes < 0 ? "\u2212" : "+"}${Math.floor(size / 60)}${rest}`;
}

let second = Date.now();
const waiting = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** Now, which draws again each second: for ages. */
export function useNow(): number {
  return useSyncExternalStore(
    (changed) => {
      waiting.add(changed);
      timer ??= setInterval(() => {
        second = Date.now();
        for (const each of waiting) each();
      }, 1_000);
      return () => {
        waiting.delete(changed);
        if (waiting.size === 0) {
          clearInterval(timer);
          timer = undefined;
        }
      };
    },
    () => second,
  );
}
