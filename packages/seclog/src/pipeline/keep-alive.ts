import { clearInterval, setInterval } from "node:timers";

/** So long that it never fires in practice; a timer takes no more than 24 days. */
const LONG_MS = 2 ** 31 - 1;

let waiting = 0;
let timer: NodeJS.Timeout | undefined;

/**
 * Keeps the process alive as long as somebody waits for a promise of a log. Neither the shipper's thread nor its timers do: a
 * log that nobody waits for keeps no process from its end. Without this, `await receipt.stored` would end a script there.
 *
 * @returns what ends it; to be called once
 */
export function keepAlive(): () => void {
  waiting += 1;
  timer ??= setInterval(() => {}, LONG_MS);
  return () => {
    waiting -= 1;
    if (waiting > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}
