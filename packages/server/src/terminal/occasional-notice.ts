import { visibleText } from "seclog";
import { notice } from "./print.ts";

/** How long a server does not repeat a message: any client can cause one, as often as it likes. */
const REPEATED_MS = 60_000;

/** Prints messages to standard error, and repeats one only after a while. */
export function occasionalNotice(): (text: string, more?: string) => void {
  let last = "";
  let printedAt = Number.NEGATIVE_INFINITY;
  return (text, more = "") => {
    if (text === last && performance.now() - printedAt < REPEATED_MS) return;
    last = text;
    printedAt = performance.now();
    notice(visibleText(`seclog: ${text}${more}`));
  };
}
