/** So many events that report a quarantine are recognised when they are quarantined themselves. */
const MOST_REPORTS = 10_000;

/**
 * The log's own `event_quarantined` events. Each quotes a reason and may itself be rejected, or be damaged so that nobody
 * knows its type. It is not reported again, or the reports would never stop.
 */
export class OwnReports {
  readonly #places = new Set<string>();

  /** @param type the quarantined event's type, when its bytes still say it */
  has(source: string, seq: number, type: string | undefined): boolean {
    return type === "event_quarantined" || this.#places.has(`${source} ${seq}`);
  }

  add(source: string, seq: number): void {
    this.#places.add(`${source} ${seq}`);
    const [oldest = ""] = this.#places;
    if (this.#places.size > MOST_REPORTS) this.#places.delete(oldest);
  }
}
