/** How many `event_quarantined` events are remembered, to recognise them if they are quarantined themselves. */
const MOST_REPORTS = 10_000;

/**
 * The log's own `event_quarantined` events. Each quotes a reason and may itself be rejected, or be damaged so that its
 * type is unreadable. It is not reported again, or the reports would never stop.
 */
export class OwnReports {
  readonly #places = new Set<string>();

  /** @param type the quarantined event's type, if its bytes still decode */
  has(source: string, seq: number, type: string | undefined): boolean {
    return type === "event_quarantined" || this.#places.has(`${source} ${seq}`);
  }

  add(source: string, seq: number): void {
    this.#places.add(`${source} ${seq}`);
    const [oldest = ""] = this.#places;
    if (this.#places.size > MOST_REPORTS) this.#places.delete(oldest);
  }
}
