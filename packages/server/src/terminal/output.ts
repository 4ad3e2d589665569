import { type Level, visibleJson, visibleText } from "seclog";

/** Whoever reads has gone (`| head`): the command ends in good order. */
export class OutputClosed extends Error {}

/** What is printed cannot be kept: a full disk, for one. */
export class OutputFailed extends Error {}

/**
 * Writes to standard output at the reader's pace.
 *
 * @throws OutputClosed when nobody reads any more
 */
export async function print(text: string): Promise<void> {
  await new Promise<void>((written, failed) => {
    process.stdout.write(text, (error) => {
      if (error === null || error === undefined) written();
      else if (isGone(error)) failed(new OutputClosed());
      else failed(new OutputFailed(`standard output cannot be written: ${error.message}`));
    });
  });
}

/** Whether standard output failed because its reader has gone, or went before. */
export function isGone(error: NodeJS.ErrnoException): boolean {
  return ["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"].includes(error.code ?? "");
}

/** A value as one line of JSON that no terminal obeys. */
export function jsonLine(value: unknown): string {
  return `${visibleJson(JSON.stringify(value))}\n`;
}

/** SGR parameters (ECMA-48). */
const STYLES = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33", alarm: "1;31", plain: "" } as const;

/** How a text stands out. */
export type Style = keyof typeof STYLES;

export const LEVEL_STYLES: { readonly [L in Level]: Style } = {
  debug: "dim",
  info: "plain",
  warning: "yellow",
  error: "red",
  critical: "alarm",
};

/** Styles text on a terminal. `NO_COLOR` (no-color.org) turns it off, `FORCE_COLOR` on. */
export function styled(text: string, style: Style, stream: NodeJS.WriteStream = process.stdout): string {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const wanted = FORCE_COLOR ? FORCE_COLOR !== "0" : stream.isTTY === true && process.env["TERM"] !== "dumb";
  return wanted && !NO_COLOR && STYLES[style] !== "" ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** The terminal's width; 80 where there is none. */
export function lineWidth(): number {
  const told = Number(process.env["COLUMNS"]);
  return process.stdout.columns || (told >= 20 ? told : 80);
}

/** A column of {@link Table}. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null;
  readonly style?: (row: Row) => Style;
  /** Numbers stand to the right. */
  readonly right?: boolean;
  /** Narrower than this it never gets. @default its widest value */
  readonly min?: number;
  /** The width to keep where the values are not known beforehand, as far as the line has room for it. */
  readonly typical?: number;
}

const GAP = " ";

/**
 * Rows under each other, no wider than the terminal: where the values need more room, columns with a `min` give way,
 * the widest first. The first rows decide the widths, so that the rest can be streamed. A value that is wider than its
 * column takes the blank of those behind it, and of the last one all but its `min`; what does not fit then ends in "…".
 */
export class Table<Row> {
  readonly #columns: readonly Column<Row>[];
  readonly #streaming: boolean;
  #widths: number[] | undefined;

  constructor(columns: readonly Column<Row>[], options: { readonly streaming?: boolean } = {}) {
    this.#columns = columns;
    this.#streaming = options.streaming ?? false;
  }

  /** The rows' lines, below the titles when they are the first. */
  lines(rows: readonly Row[]): string {
    const cells = rows.map((row) => this.#columns.map((column) => visibleText(String(column.value(row) ?? ""))));
    let text = "";
    if (this.#widths === undefined) {
      this.#widths = this.#fit(cells);
      const titles = this.#columns.map((column) => column.title);
      text += `${styled(this.#line(titles).trimEnd(), "bold")}\n`;
    }
    for (const [index, row] of rows.entries()) {
      text += `${this.#line(cells[index] ?? [], (column) => column.style?.(row) ?? "plain").trimEnd()}\n`;
    }
    return text;
  }

  #fit(cells: readonly (readonly string[])[]): number[] {
    const widths = this.#columns.map((column, index) => {
      return cells.reduce((most, row) => Math.max(most, textWidth(row[index] ?? "")), textWidth(column.title));
    });
    let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - lineWidth();
    for (; excess > 0; excess--) {
      let widest = -1;
      for (const [index, { min }] of this.#columns.entries()) {
        const width = widths[index] ?? 0;
        if (min !== undefined && width > min && width > (widths[widest] ?? 0)) widest = index;
      }
      if (widest < 0) break;
      widths[widest] = (widths[widest] ?? 0) - 1;
    }
    for (const [index, { typical = 0 }] of this.#streaming ? this.#columns.entries() : []) {
      const wider = Math.max(0, Math.min(-excess, typical - (widths[index] ?? 0)));
      widths[index] = (widths[index] ?? 0) + wider;
      excess += wider;
    }
    return widths;
  }

  #line(cells: readonly string[], style: (column: Column<Row>) => Style = () => "plain"): string {
    const widths = this.#widths ?? [];
    const last = this.#columns.length - 1;
    /** What is kept for the column whatever stands in front of it. */
    const kept = (index: number): number => {
      const width = widths[index] ?? 0;
      const least = index === last ? Math.min(width, this.#columns[last]?.min ?? width) : width;
      return GAP.length + Math.min(textWidth(cells[index] ?? ""), least);
    };
    const taken = widths.reduce((sum, width) => sum + width, 0) + GAP.length * last;
    /** What is free for a column and those behind it. */
    let room = Math.max(taken, lineWidth());
    /** How far the values before it reach into the column. */
    let over = 0;
    let line = "";
    for (const [index, column] of this.#columns.entries()) {
      let most = room;
      for (let behind = index + 1; behind <= last; behind++) most -= kept(behind);
      const text = cutText(cells[index] ?? "", most);
      const width = Math.max(0, (widths[index] ?? 0) - over);
      const blank = " ".repeat(Math.max(0, width - textWidth(text)));
      line +=
        (index === 0 ? "" : GAP) +
        (column.right ? blank + styled(text, style(column)) : styled(text, style(column)) + blank);
      const used = textWidth(text) + blank.length;
      over += used - (widths[index] ?? 0);
      room -= used + GAP.length;
    }
    return line;
  }
}

/** Characters that take two columns (East Asian wide, emoji) and none (combining marks). */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const MARK = /\p{M}/u;

/** How many columns of a terminal the text takes. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** The text, or as much of it as fits before a "…". */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let cut = "";
  let used = 1;
  for (const character of text) {
    used += characterWidth(character);
    if (used > width) break;
    cut += character;
  }
  return `${cut}…`;
}

function characterWidth(character: string): number {
  if (character < "\u0300") return 1;
  return MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
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

/** One line on standard error that is written over as work goes on; nothing where there is no terminal. */
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

/** A line for people on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** `1.4 MiB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `1 event`, `2 events`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
}
