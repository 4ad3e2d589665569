/** Reduces the state of a log to one word and its reason. */
import type { SeclogError } from "../event/errors.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Health, HealthError } from "../record/health.ts";
import type { ShippingHealth, SpoolHealth } from "../ship/news.ts";

/** The input of {@link healthOf}. */
export interface LogState {
  readonly pipeline: Pipeline;
  /** The shipper's last report about each handler. */
  readonly shipping: readonly ShippingHealth[];
  readonly spool: SpoolHealth;
  /** Why the spool is not writable; `undefined` while it is. */
  readonly failure: SeclogError | undefined;
  /** Why events were dropped, until an `events_dropped` event reports them. */
  readonly dropping: SeclogError | undefined;
  readonly counts: Pick<Health, "recorded" | "belowLevel" | "dropped">;
}

export function healthOf({ pipeline, shipping, spool, failure, dropping, counts }: LogState): Health {
  const states = pipeline.handlers(shipping);
  const failing = states.find((state) => state.failing)?.health;
  const troubled = states.find(({ health }) => health.status !== "ok")?.health;
  const { left, unkept } = spool;
  const failed = failure !== undefined || failing !== undefined;
  const reason = now(dropping) ?? troubled?.lastError ?? unkept ?? left?.lastError;
  const error = now(failure) ?? failing?.lastError ?? reason;
  return {
    status: failed ? "failing" : reason !== undefined || troubled !== undefined ? "degraded" : "ok",
    ...(error === undefined ? {} : { lastError: error }),
    sourceId: pipeline.sourceId,
    ...counts,
    spooledBytes: pipeline.bytes,
    handlers: states.map(({ health }) => health),
    ...(left === undefined ? {} : { leftBehind: left }),
  };
}

function now(error: SeclogError | undefined): HealthError | undefined {
  return error && { message: error.message, code: error.code, at: new Date() };
}
