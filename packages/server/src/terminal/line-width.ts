import { textWidth } from "../text/width.ts";

/** The terminal's width; 80 where there is none. */
export function lineWidth(): number {
  const told = Number(process.env["COLUMNS"]);
  return process.stdout.columns || (told >= 20 ? told : 80);
}

/** Text broken at spaces to fit the terminal, later lines indented. */
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
