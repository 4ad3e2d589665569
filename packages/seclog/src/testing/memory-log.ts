import type { EventDefinitions } from "../event/definition.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import type { SecurityLogOptions } from "../log/options.ts";
import type { EventType } from "../record/facts.ts";
import type { Health } from "../record/health.ts";
import { IDENTIFY, type Identifying, type Identity } from "../record/identity.ts";
import { ON_BEHALF, type OnBehalf } from "../record/on-behalf.ts";
import type { SecurityLog } from "../record/security-log.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { type ExpectedEvent, fits } from "./matching.ts";

/** Options of {@link memoryLog}: those of `createSecurityLog` without `spool` and `handlers`. */
export type MemoryLogOptions<Events extends EventDefinitions = Record<never, never>> = Partial<
  Omit<SecurityLogOptions<Events>, "spool" | "handlers">
>;

/** A real log whose events a test can read, without the log's own (`log_started`, …). */
export interface MemoryLog<Events extends EventDefinitions = Record<never, never>> extends SecurityLog<Events> {
  /** All events recorded so far, as a handler receives them. */
  events(): Promise<readonly SecurityEvent[]>;
  /**
   * Resolves with the first event of this type that has these properties. Waits if there is none yet: the event of a
   * response's end is recorded when the client may already have the response.
   *
   * Rejects after `deadline` milliseconds with a list of the events recorded instead.
   *
   * @param options.deadline @default 5000
   */
  expectEvent(
    type: EventType<Events>,
    expected?: ExpectedEvent,
    options?: { readonly deadline?: number },
  ): Promise<SecurityEvent>;
  /** Forgets all events, between two tests. */
  clear(): Promise<void>;
}

/**
 * A log in memory for tests of code that records events. It is the real log, with redaction, levels and flags, but
 * without disk and network.
 *
 * ```ts
 * const security = memoryLog();
 * const app = createApp(security);
 * await request(app).get("/admin").expect(403);
 * await security.expectEvent("authz_fail", { path: "/admin", statusCode: 403 });
 * ```
 */
export function memoryLog<Events extends EventDefinitions = Record<never, never>>(
  options: MemoryLogOptions<Events> = {},
): MemoryLog<Events> {
  return new LogInMemory(options);
}

/** The handler at the end of the log. */
class Collector implements SecurityEventHandler {
  readonly name = "memory";
  readonly events: SecurityEvent[] = [];
  readonly waiting: Set<() => void> = new Set();

  async handle(batch: EventBatch): Promise<void> {
    for (const event of batch.events) if (event.category !== "log") this.events.push(event);
    for (const wake of this.waiting) wake();
  }

  async close(): Promise<void> {}
}

class LogInMemory<Events extends EventDefinitions> implements MemoryLog<Events> {
  readonly #collector = new Collector();
  readonly #log: SecurityLog<Events>;
  readonly recordSecurityEvent: SecurityLog<Events>["recordSecurityEvent"];

  constructor(options: MemoryLogOptions<Events>) {
    this.#log = createSecurityLog<Events>({
      level: "debug",
      heartbeat: false,
      ...options,
      spool: "memory",
      handlers: [this.#collector],
    });
    this.recordSecurityEvent = this.#log.recordSecurityEvent;
  }

  /** A test counts its events, so none is folded. */
  readonly [IDENTIFY] = (type: string, request: object): Identity | undefined => {
    const identity = (this.#log as Identifying)[IDENTIFY]?.(type, request);
    return identity && { ...identity, foldable: false };
  };

  readonly [ON_BEHALF]: OnBehalf[typeof ON_BEHALF] = (origin) => (this.#log as unknown as OnBehalf)[ON_BEHALF](origin);

  get name(): string {
    return this.#log.name;
  }

  get sourceId(): string {
    return this.#log.sourceId;
  }

  get level(): Level {
    return this.#log.level;
  }

  set level(level: Level) {
    this.#log.level = level;
  }

  async events(): Promise<readonly SecurityEvent[]> {
    await this.#log.flush();
    return [...this.#collector.events];
  }

  async expectEvent(
    type: EventType<Events>,
    expected: ExpectedEvent = {},
    options: { readonly deadline?: number } = {},
  ): Promise<SecurityEvent> {
    const { deadline = 5000 } = options;
    const { events, waiting } = this.#collector;
    const find = (): SecurityEvent | undefined => events.find((event) => fits(event, type, expected));
    const recorded = find();
    if (recorded !== undefined) return recorded;
    return await new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        waiting.delete(check);
      };
      const check = (): void => {
        const found = find();
        if (found === undefined) return;
        stop();
        resolve(found);
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(missing(type, expected, events)));
      }, deadline);
      waiting.add(check);
    });
  }

  async clear(): Promise<void> {
    await this.#log.flush();
    this.#collector.events.length = 0;
  }

  isEnabled(type: EventType<Events>): boolean {
    return this.#log.isEnabled(type);
  }

  flush(options?: { readonly deadline?: number }): Promise<void> {
    return this.#log.flush(options);
  }

  close(options?: { readonly deadline?: number }): Promise<void> {
    return this.#log.close(options);
  }

  health(): Health {
    return this.#log.health();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The message: the expected properties of the last events recorded. */
function missing(type: string, expected: ExpectedEvent, events: readonly SecurityEvent[]): string {
  const shown = events.slice(-20).map((event) => {
    const properties = Object.keys(expected).map((property) => [property, event[property as keyof SecurityEvent]]);
    return `\n  ${event.type} ${JSON.stringify(Object.fromEntries(properties))}`;
  });
  const instead = shown.length === 0 ? "nothing was recorded" : `these were recorded:${shown.join("")}`;
  return `no event ${type} ${JSON.stringify(expected)}; ${instead}`;
}
