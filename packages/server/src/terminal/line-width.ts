/** The terminal's width, and text that fits in it. */
import { textWidth } from "../text/width.ts";

/** The terminal's width; 80 without a terminal. */
export function lineWidth(): number {
  const columns = Number(process.env["COLUMNS"]);
  return process.stdout.columns || (columns >= 20 ? columns : 80);
}

/** Wraps text at spaces to the terminal's width, and indents the lines after the first. */
export function wrapped(text: string, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && textWidth(indent) + textWidth(line) + 1 + textWidth(word) > lineWidth()) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${indent}`);
}
