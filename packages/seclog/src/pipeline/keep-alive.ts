import { clearInterval, setInterval } from "node:timers";

/** The longest delay of a timer, 24 days; in practice it never fires. */
const LONG_MS = 2 ** 31 - 1;

let waiting = 0;
let timer: NodeJS.Timeout | undefined;

/**
 * Keeps the process alive while a promise of a log is pending. The shipper's thread and timers are unreferenced, so
 * that an idle log never holds a process up; without this, Node would exit at a script's `await receipt.stored`.
 *
 * @returns releases the hold; call it once
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
