import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { WorkEvent, Worker } from "./work.ts";

/** A worker's figures in Prometheus' text format. Names and units follow prometheus.io/docs/practices/naming. */
export class WorkMetrics {
  readonly #registry: Registry = new Registry();
  readonly #stored: Counter;
  readonly #batches: Histogram;
  readonly #messages: Counter<"outcome">;
  readonly #lost: Counter;
  readonly #troubles: Counter<"part">;
  /** Sets the gauges. */
  readonly #look: () => Promise<void>;

  constructor(worker: Worker) {
    const registers = [this.#registry];
    this.#stored = new Counter({
      name: "seclog_work_events_stored_total",
      help: "Events committed to PostgreSQL",
      registers,
    });
    this.#batches = new Histogram({
      name: "seclog_work_batch_seconds",
      help: "Time to store a batch, from the first statement to COMMIT",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    });
    this.#messages = new Counter({
      name: "seclog_work_messages_total",
      help: "Messages that were redelivered, came before their predecessor, went to the dead letters, or to quarantine",
      labelNames: ["outcome"],
      registers,
    });
    this.#lost = new Counter({
      name: "seclog_work_events_lost_total",
      help: "Numbers that the queue lost, put on record",
      registers,
    });
    this.#troubles = new Counter({
      name: "seclog_work_failures_total",
      help: "Failures of the engine and of the database, each tried again",
      labelNames: ["part"],
      registers,
    });
    for (const outcome of ["redelivered", "early", "buried", "quarantined"]) this.#messages.inc({ outcome }, 0);
    for (const part of ["engine", "database"]) this.#troubles.inc({ part }, 0);
    const gauge = (name: string, help: string): Gauge => new Gauge({ name: `seclog_work_${name}`, help, registers });
    const waiting = gauge("queue_messages", "Messages in the queue that are not yet stored");
    const age = gauge("queue_oldest_seconds", "Age of the oldest message in the queue, 0 if there is none");
    const dead = gauge("dead_letters", "Messages in the dead letters");
    const ready = gauge("ready", "1 while the worker stores what comes");
    const held = gauge("messages_held", "Messages that this worker has received and not yet stored");
    this.#look = async () => {
      held.set(worker.held);
      ready.set(worker.unready.length === 0 ? 1 : 0);
      const backlog = await worker.backlog();
      if (backlog === undefined) return;
      waiting.set(backlog.waiting);
      dead.set(backlog.dead);
      age.set(backlog.oldestQueuedAt === undefined ? 0 : Math.max(0, (Date.now() - backlog.oldestQueuedAt) / 1000));
    };
  }

  /** Counts what happened. */
  note(event: WorkEvent): void {
    switch (event.kind) {
      case "stored":
        this.#stored.inc(event.events);
        this.#batches.observe(event.ms / 1000);
        break;
      case "redelivered":
      case "early":
      case "buried":
      case "quarantined":
        this.#messages.inc({ outcome: event.kind });
        break;
      case "lost":
        this.#lost.inc(event.lastSeq - event.firstSeq + 1);
        break;
      case "engine":
        this.#troubles.inc({ part: "engine" });
        break;
      case "trouble":
        this.#troubles.inc({ part: "database" });
        break;
      case "connected":
        break;
    }
  }

  /** The exposition, and its content type. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    await this.#look();
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
