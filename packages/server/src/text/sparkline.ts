const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** Counts as bars of one line: a space for none, and never none for some. */
export function sparkline(counts: readonly number[]): string {
  const most = Math.max(1, ...counts);
  return counts
    .map((count) => (count === 0 ? " " : (BARS[Math.ceil((count / most) * BARS.length) - 1] ?? "▁")))
    .join("");
}
