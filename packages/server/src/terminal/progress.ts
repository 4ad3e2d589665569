import { visibleText } from "seclog";
import { cutText } from "../text/width.ts";

/** One line on standard error, overwritten as work progresses; silent without a terminal. */
export class Progress {
  #shown = false;

  show(text: string): void {
    if (process.stderr.isTTY !== true) return;
    process.stderr.write(`\r\x1b[K${cutText(visibleText(text), (process.stderr.columns || 80) - 1)}`);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) process.stderr.write("\r\x1b[K");
    this.#shown = false;
  }
}
