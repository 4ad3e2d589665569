/** A table of counts, each with a bar of its share of the largest. */
import { isLevel } from "seclog";
import type { Tally } from "../search/count-events.ts";
import { lineWidth } from "../terminal/line-width.ts";
import { LEVEL_STYLES } from "../terminal/style.ts";
import { Table } from "../terminal/table.ts";

const BAR = 24;

/** The lines of a table, after an empty one; nothing for no rows. */
export function tallyTable(title: string, rows: readonly Tally[]): string {
  if (rows.length === 0) return "";
  const most = Math.max(...rows.map((row) => row.events));
  const table = new Table<Tally>([
    { title: "EVENTS", value: (row) => row.events.toLocaleString("en"), right: true },
    {
      title: title,
      value: (row) => row.name.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)Z$/, "$1 $2"),
      style: (row) => (isLevel(row.name) ? LEVEL_STYLES[row.name] : "plain"),
      min: Math.min(20, lineWidth() - BAR - 12),
    },
    { title: "", value: (row) => bar(row.events / most), style: () => "dim" },
  ]);
  return `\n${table.lines(rows)}`;
}

function bar(share: number): string {
  const eighths = Math.max(1, Math.round(share * BAR * 8));
  return "█".repeat(Math.floor(eighths / 8)) + ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
}
