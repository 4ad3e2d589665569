/**
 * Calls functions at the latest after a second, unless they are called off before: by one timer for all of them, since a
 * timer of its own would cost a refused request as much as its judgement.
 */
import { monotonicNow, setTimeout } from "../runtime/timers.ts";

const LATEST_MS = 1_000;

/** When each must be called, in the order of that. */
const pending = new Map<() => void, number>();
let timer: NodeJS.Timeout | undefined;

/** @param call must not throw */
export function callAtLatest(call: () => void): void {
  pending.set(call, monotonicNow() + LATEST_MS);
  if (timer === undefined) timer = setTimeout(callOverdue, LATEST_MS).unref();
}

/** The function was called, or must not be. */
export function callOff(call: () => void): void {
  pending.delete(call);
}

function callOverdue(): void {
  const now = monotonicNow();
  for (const [call, at] of pending) {
    if (at > now) break;
    pending.delete(call);
    call();
  }
  const [next] = pending.values();
  timer = next === undefined ? undefined : setTimeout(callOverdue, Math.max(1, next - now)).unref();
}
