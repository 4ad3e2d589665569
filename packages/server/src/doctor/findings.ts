/** One finding of `seclog doctor`, in words. */
export interface Check {
  readonly area: string;
  readonly status: "ok" | "warning" | "fault" | "skipped";
  readonly finding: string;
  /** How to fix a warning or a fault. */
  readonly advice?: string;
}

/** Collects the findings of one area. */
export class Findings {
  readonly checks: Check[] = [];
  readonly #area: string;

  constructor(area: string) {
    this.#area = area;
  }

  ok(finding: string): void {
    this.checks.push({ area: this.#area, status: "ok", finding });
  }

  warning(finding: string, advice: string): void {
    this.checks.push({ area: this.#area, status: "warning", finding, advice });
  }

  fault(finding: string, advice: string | undefined): void {
    this.checks.push({ area: this.#area, status: "fault", finding, ...(advice === undefined ? {} : { advice }) });
  }

  skipped(finding: string): void {
    this.checks.push({ area: this.#area, status: "skipped", finding });
  }
}
