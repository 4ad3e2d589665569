/**
 * Reports to a log's diagnostics what no single failure shows: stalled handlers, too many logs, other copies. Each
 * once.
 */

import { VERSION } from "../event/version.ts";
import { strangeCopies } from "../record/copies.ts";
import type { Health } from "../record/health.ts";
import type { Diagnostic } from "../record/security-log.ts";
import { clearInterval, setInterval } from "../runtime/timers.ts";

/** The interval between two looks, in milliseconds. */
const WATCH_MS = 1_000;

/** No application needs this many logs: it probably creates one per request, tenant or module. */
const MANY_LOGS = 6;

/** The watches of logs that have a thread. */
const withThread = new Set<LogWatch>();

/** Reports one diagnostic. */
type Diagnose = (level: Diagnostic["level"], code: Diagnostic["code"], message: string, handler?: string) => void;

export class LogWatch {
  readonly #health: () => Health;
  readonly #diagnose: Diagnose;
  readonly #timer: NodeJS.Timeout;
  /** Names of handlers that were reported as stalled. */
  readonly #stalled = new Set<string>();
  #copiesReported = false;

  /** @param hasThread whether the log ships on a thread of its own */
  constructor(hasThread: boolean, health: () => Health, diagnose: Diagnose) {
    this.#health = health;
    this.#diagnose = diagnose;
    this.#timer = setInterval(() => {
      this.#reportStalls();
      this.#reportCopies();
    }, WATCH_MS).unref();
    if (!hasThread) return;
    withThread.add(this);
    if (withThread.size !== MANY_LOGS) return;
    const message = `this process has ${MANY_LOGS} logs open, each with a thread and up to poolMax connections of its own: create one and share it`;
    diagnose("warning", "SECLOG_MANY_LOGS", message);
  }

  end(): void {
    clearInterval(this.#timer);
    withThread.delete(this);
  }

  /** Reports that a handler has stalled, and later that it has resumed. */
  #reportStalls(): void {
    for (const { name, status, lastError } of this.#health().handlers) {
      if (status === "stalled" && !this.#stalled.has(name)) {
        this.#stalled.add(name);
        this.#diagnose("error", "SECLOG_STALLED", lastError?.message ?? "no event is acknowledged", name);
      } else if (status === "ok" && this.#stalled.delete(name)) {
        this.#diagnose("info", "SECLOG_RECOVERED", `${name} takes events again`, name);
      }
    }
  }

  /** Reports other copies of this package, with which this one cannot share requests. */
  #reportCopies(): void {
    const others = strangeCopies();
    if (others.length === 0 || this.#copiesReported) return;
    this.#copiesReported = true;
    this.#diagnose(
      "warning",
      "SECLOG_COPIES",
      `this process has seclog ${VERSION} and also ${others.join(", ")}, and they share no requests: one refusal may be recorded twice, and ` +
        "events may lack their request; install one version (npm ls seclog), external to bundles",
    );
  }
}
