import { encodeEvent } from "../event/encode.ts";
import { EVENT_VERSION, type SecurityEvent } from "../event/event.ts";
import { type EventBatch, eventBatch } from "../ship/handler.ts";

/** The default source of {@link exampleBatch}. */
export const EXAMPLE_SOURCE = "01936d2f-5c00-7000-8000-000000000001";

/** Options of {@link exampleBatch}. */
export interface ExampleBatchOptions {
  /** @default EXAMPLE_SOURCE */
  readonly sourceId?: string;
  /** @default 1 */
  readonly firstSeq?: number;
  /** @default 1 */
  readonly count?: number;
  /** The source's epoch. @default 1 */
  readonly epoch?: number;
  /** The last number that the handler has acknowledged. @default 0 */
  readonly acknowledged?: number;
  /** Properties to set in every event. */
  readonly event?: Partial<SecurityEvent>;
  /** Canonical bytes to use instead of example events. */
  readonly records?: readonly Uint8Array[];
}

/** A security event for tests of handlers, always the same for a source and seq. */
export function exampleEvent(seq: number, sourceId: string = EXAMPLE_SOURCE): SecurityEvent {
  return {
    v: EVENT_VERSION,
    id: `01936d2f-5c00-7000-8${sourceId.slice(-3)}-${seq.toString(16).padStart(12, "0")}`,
    occurredAt: `2026-11-22T19:43:${String(seq % 60).padStart(2, "0")}.${String(seq % 1_000_000).padStart(6, "0")}Z`,
    sourceId,
    epoch: 1,
    seq,
    type: "authz_fail",
    level: "critical",
    category: "authz",
    outcome: "failure",
    logger: "security",
    service: "example",
    method: "GET",
    statusCode: 403,
    actorId: "42",
    ipAddress: "203.0.113.9",
    path: "/admin/orders",
    userAgent: "Mozilla/5.0 (example)",
    data: { resource: "orders", seq },
  };
}

/** Consecutive events of one source, as the shipper passes them to a handler. */
export function exampleBatch(options: ExampleBatchOptions = {}): EventBatch {
  const { sourceId = EXAMPLE_SOURCE, firstSeq = 1, count = 1, epoch = 1, acknowledged = 0 } = options;
  const records =
    options.records ??
    Array.from({ length: count }, (_, index) =>
      Buffer.from(encodeEvent({ ...exampleEvent(firstSeq + index, sourceId), ...options.event })),
    );
  const key = sourceId.replaceAll("-", "");
  return eventBatch({ id: sourceId, epoch, key, acknowledged }, firstSeq, records);
}
