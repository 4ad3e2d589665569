import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Health } from "seclog";
import type { ReceiveEvent } from "./receive.ts";

/** A collector's figures in Prometheus' text format. */
export class CollectMetrics {
  readonly #registry: Registry = new Registry();
  readonly #events: Counter<"receiver" | "outcome">;
  readonly #requests: Counter<"outcome">;
  readonly #responses: Counter<"status">;
  readonly #seconds: Histogram;
  readonly #look: () => void;

  constructor(health: () => Health, ready: () => boolean) {
    const registers = [this.#registry];
    this.#events = new Counter({
      name: "seclog_collect_events_total",
      help: "Events that were recorded, or refused one by one",
      labelNames: ["receiver", "outcome"],
      registers,
    });
    this.#requests = new Counter({
      name: "seclog_collect_requests_total",
      help: "Requests that repeated a key, or found the spool full or memory taken",
      labelNames: ["outcome"],
      registers,
    });
    this.#responses = new Counter({
      name: "seclog_collect_responses_total",
      help: "Responses of the receivers over HTTP, by status",
      labelNames: ["status"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "seclog_collect_request_seconds",
      help: "Time from a request's header to its response, with the sync of its events",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    });
    for (const outcome of ["repeated", "full", "busy"]) this.#requests.inc({ outcome }, 0);
    const gauge = (name: string, help: string): Gauge => new Gauge({ name: `seclog_collect_${name}`, help, registers });
    const spooled = gauge("spool_bytes", "Bytes in the spool");
    const behind = gauge("events_behind", "Events that are on disk and not yet in PostgreSQL");
    const open = gauge("ready", "1 while events are taken");
    this.#look = () => {
      const { spooledBytes, handlers } = health();
      spooled.set(spooledBytes);
      behind.set(Math.max(0, ...handlers.map((handler) => handler.behind)));
      open.set(ready() ? 1 : 0);
    };
  }

  note(event: ReceiveEvent): void {
    if (event.kind === "received") {
      this.#events.inc({ receiver: event.receiver, outcome: "recorded" }, event.accepted);
      if (event.refused > 0) this.#events.inc({ receiver: event.receiver, outcome: "refused" }, event.refused);
    } else {
      this.#requests.inc({ outcome: event.kind });
    }
  }

  /** Begins a request; the returned function ends it. */
  begin(): (status: number) => void {
    const end = this.#seconds.startTimer();
    return (status) => {
      end();
      this.#responses.inc({ status: String(status) });
    };
  }

  /** The exposition, and its content type. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    this.#look();
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
