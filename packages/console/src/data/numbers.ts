/** Numbers as people read them. */
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `31,994` */
export function count(value: number): string {
  return WHOLE.format(value);
}

/** `1 event`, `2 events` */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A change against what was before: `+31 %`, `4.1×`, `new`; empty when there is nothing to compare. */
export function change(now: number, before: number): string {
  if (before === 0) return now === 0 ? "" : "new";
  const ratio = now / before;
  if (ratio >= 2) return `${ratio >= 10 ? WHOLE.format(ratio) : ratio.toFixed(1).replace(/\.0$/, "")}×`;
  const percent = Math.round((ratio - 1) * 100);
  return percent === 0 ? "0 %" : percent > 0 ? `+${percent} %` : `\u2212${-percent} %`;
}

/** Whether a change stands out: a new value, or twice as many. */
export function isRise(now: number, before: number): boolean {
  return now > 0 && (before === 0 || now / before >= 2);
}

/** `0.7 s`, `4 min`, `3 h`, `12 d` */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
