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
export function counted(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString("en")} ${Number(count) === 1 ? noun : plural}`;
}

/** Untrusted text in quotes, cut to 60 characters, for messages that repeat it. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** `a, b and 3 more`: lists the first six. */
export function listed(list: readonly string[]): string {
  const shown = list.slice(0, 6).join(", ");
  return list.length > 6 ? `${shown} and ${list.length - 6} more` : shown;
}
