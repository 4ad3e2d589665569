import { visibleText } from "seclog";
import { cutText, textWidth } from "../text/width.ts";
import { lineWidth } from "./line-width.ts";
import { type Style, styled } from "./style.ts";

/** A column of {@link Table}. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null;
  readonly style?: (row: Row) => Style;
  /** Right-aligned, for numbers. */
  readonly right?: boolean;
  /** The least width. @default its widest value */
  readonly min?: number;
  /** The width to reserve for later rows when streaming, if the line has room. */
  readonly typical?: number;
}

const GAP = " ";

/**
 * Lays out rows no wider than the terminal. If the values need more room, columns with a `min` shrink, the widest first.
 * The first rows set the widths, so that the rest can be streamed. A value wider than its column uses the blank space of
 * the columns after it, and of the last one all but its `min`; text that still does not fit ends in "…".
 */
export class Table<Row> {
  readonly #columns: readonly Column<Row>[];
  readonly #streaming: boolean;
  #widths: number[] | undefined;

  constructor(columns: readonly Column<Row>[], options: { readonly streaming?: boolean } = {}) {
    this.#columns = columns;
    this.#streaming = options.streaming ?? false;
  }

  /** The rows' lines, with the titles above the first ones. */
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
    /** The width reserved for a column, whatever the columns before it need. */
    const kept = (index: number): number => {
      const width = widths[index] ?? 0;
      const least = index === last ? Math.min(width, this.#columns[last]?.min ?? width) : width;
      return GAP.length + Math.min(textWidth(cells[index] ?? ""), least);
    };
    const taken = widths.reduce((sum, width) => sum + width, 0) + GAP.length * last;
    /** The width left for this column and those after it. */
    let room = Math.max(taken, lineWidth());
    /** How far earlier values reach into this column. */
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
