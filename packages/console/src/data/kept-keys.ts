/** The log's public keys that this browser trusts: pasted, or taken from the server the first time. */

export interface KeptKey {
  readonly vkey: string;
  readonly how: "pasted" | "first use";
  readonly at: string;
}

/** Consoles at other paths of the same origin may show other logs. */
const nameOf = (): string => `seclog.keys:${new URL(document.baseURI).pathname}`;

export function keptKeys(): readonly KeptKey[] {
  try {
    const kept = JSON.parse(localStorage.getItem(nameOf()) ?? "[]") as unknown;
    return Array.isArray(kept) ? (kept as readonly KeptKey[]).filter(({ vkey }) => typeof vkey === "string") : [];
  } catch {
    return [];
  }
}

/** Replaces the keys; none is first use again. */
export function keepKeys(vkeys: readonly string[], how: KeptKey["how"]): void {
  const at = new Date().toISOString();
  localStorage.setItem(nameOf(), JSON.stringify(vkeys.map((vkey): KeptKey => ({ vkey, how, at }))));
}
