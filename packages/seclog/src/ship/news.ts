/** What a shipper reports to its log: one type from the lane to the diagnostics, and across the threads in between. */
import type { ErrorCode } from "../event/errors.ts";
import type { HandlerHealth, HealthError, LeftBehind } from "../record/health.ts";
import type { FailureKind } from "./handler.ts";

/** The part of a handler's health that its shipper knows. */
export type ShippingHealth = Omit<HandlerHealth, "behind" | "oldestUnshippedAt" | "lastError"> & {
  readonly lastError?: HealthError & { readonly code: ErrorCode };
};

/** What the shipper knows of the spool beside its handlers. */
export interface SpoolHealth {
  /** What dead processes left and has not been fully shipped. */
  readonly left?: LeftBehind | undefined;
  /** Why positions cannot be saved, or shipped segments cannot be deleted. */
  readonly unkept?: HealthError | undefined;
}

/** The health of a handler before its first report. */
export function idle(name: string): ShippingHealth {
  return { name, status: "ok", shipped: 0, retries: 0, quarantined: 0 };
}

/** Something that happened while events were shipped. A structured clone keeps it whole. */
export type ShippingNews =
  /** The handler has this log's own source up to `seq`. */
  | { readonly type: "acknowledged"; readonly handler: number; readonly seq: number; readonly health: ShippingHealth }
  | { readonly type: "health"; readonly handlers: readonly ShippingHealth[]; readonly spool: SpoolHealth }
  | {
      readonly type: "failed";
      /** Absent if the failure does not concern one handler. */
      readonly handler: string | undefined;
      readonly kind: FailureKind;
      readonly code: ErrorCode;
      readonly message: string;
    }
  /**
   * The handler's store claims events of the source that it does not have: those behind `seq` are stored as the
   * successor's.
   */
  | {
      readonly type: "seized";
      readonly handler: string;
      readonly source: string;
      /** The last number that is stored as the source's. */
      readonly seq: number;
      readonly successor: string;
      readonly message: string;
    }
  | {
      readonly type: "quarantined";
      readonly handler: string;
      readonly source: string;
      readonly seq: number;
      readonly reason: string;
      /** The type of the event, when its bytes still say it. */
      readonly event: string | undefined;
    }
  /** Segments were deleted: there is room again. */
  | { readonly type: "freed" };
