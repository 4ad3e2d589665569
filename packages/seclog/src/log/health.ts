/** Adds up what is known of a log to one word and its reason. */
import type { SeclogError } from "../event/errors.ts";
import type { Keeping } from "../pipeline/pipeline.ts";
import type { Health, HealthError } from "../record/health.ts";
import type { ShippingHealth, SpoolHealth } from "../ship/news.ts";

/** What {@link healthOf} adds up. */
export interface LogState {
  readonly keeping: Keeping;
  /** What the shipper reported last of each handler. */
  readonly told: readonly ShippingHealth[];
  readonly spool: SpoolHealth;
  /** Why no spool can be written; `undefined` while one can. */
  readonly failure: SeclogError | undefined;
  /** Why events were dropped that no event tells of yet. */
  readonly dropping: SeclogError | undefined;
  readonly counts: Pick<Health, "recorded" | "belowLevel" | "dropped">;
}

export function healthOf({ keeping, told, spool, failure, dropping, counts }: LogState): Health {
  const states = keeping.handlers(told);
  const failing = states.find((state) => state.failing)?.health;
  const troubled = states.find(({ health }) => health.status !== "ok")?.health;
  const { left, unkept } = spool;
  const failed = failure !== undefined || failing !== undefined;
  const reason = now(dropping) ?? troubled?.lastError ?? unkept ?? left?.lastError;
  const error = now(failure) ?? failing?.lastError ?? reason;
  return {
    status: failed ? "failing" : reason !== undefined || troubled !== undefined ? "degraded" : "ok",
    ...(error === undefined ? {} : { lastError: error }),
    sourceId: keeping.sourceId,
    ...counts,
    spooledBytes: keeping.bytes,
    handlers: states.map(({ health }) => health),
    ...(left === undefined ? {} : { leftBehind: left }),
  };
}

function now(error: SeclogError | undefined): HealthError | undefined {
  return error && { message: error.message, code: error.code, at: new Date() };
}
