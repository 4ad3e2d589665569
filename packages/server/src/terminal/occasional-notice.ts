import { visibleText } from "seclog";
import { notice } from "./print.ts";

/** A server does not repeat a message for so long: anybody can send requests, and often. */
const REPEATED_MS = 60_000;

/** Prints messages on standard error, and the same one again only after a while. */
export function occasionalNotice(): (text: string, more?: string) => void {
  let last = "";
  let saidAt = Number.NEGATIVE_INFINITY;
  return (text, more = "") => {
    if (text === last && performance.now() - saidAt < REPEATED_MS) return;
    last = text;
    saidAt = performance.now();
    notice(visibleText(`seclog: ${text}${more}`));
  };
}
