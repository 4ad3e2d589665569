import type { CaptureLog } from "../capture.ts";
import { InnerCapture, type InnerCaptureOptions } from "../inner.ts";
import { trpcFinding } from "./errors.ts";

export type { CaptureLog } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export type { InnerCaptureOptions } from "../inner.ts";
export { type AccessFacts, checkAccess, type LoginFacts, recordLogin } from "../outcomes.ts";

/** What tRPC passes to `onError` of its adapters. */
export interface TrpcFailure {
  readonly error: Error;
  readonly type: string;
  readonly path?: string | undefined;
  readonly ctx?: unknown;
  readonly req?: unknown;
}

/** What tRPC passes to a middleware. */
export interface TrpcCall<Result> {
  readonly type: string;
  readonly path: string;
  readonly ctx: unknown;
  next(): Promise<Result>;
}

/** The two places where tRPC shows errors. */
export interface TrpcSecurityLog {
  /** For an adapter: `createExpressMiddleware({ router, onError: trpc.onError })`. */
  readonly onError: (failure: TrpcFailure) => void;
  /** For procedures that are called without an adapter too: `t.procedure.use(trpc.middleware)`. */
  readonly middleware: <Result>(call: TrpcCall<Result>) => Promise<Result>;
}

/**
 * Records what tRPC procedures refuse, with the procedure as the route: a `TRPCError` by its code, the fields that an
 * input's schema refused, and unexpected errors. Install the server's own capture as well: it has the client's address,
 * and what never reaches tRPC.
 *
 * ```ts
 * const { onError } = trpcSecurityLog(security);
 * app.use("/trpc", createExpressMiddleware({ router, createContext, onError }));
 * ```
 *
 * An error that passes both places is recorded once.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function trpcSecurityLog(log: CaptureLog, options: InnerCaptureOptions = {}): TrpcSecurityLog {
  const capture = new InnerCapture("trpcSecurityLog", log, options);
  const seen = new WeakSet<object>();
  const see = ({ error, type, path, ctx, req }: TrpcFailure): void => {
    try {
      if (seen.has(error)) return;
      seen.add(error);
      const finding = trpcFinding(error);
      if (finding === undefined) return;
      const context = Object(ctx) as { readonly req?: unknown };
      const route = path === undefined || path === "" ? {} : { route: `${type} ${path}` };
      capture.record(req ?? context.req, ctx, finding.detector, { ...route, ...finding.facts });
    } catch {
      // Not what tRPC passes.
    }
  };
  return {
    onError: see,
    async middleware(call) {
      const result = await call.next();
      const { ok, error } = Object(result) as { readonly ok?: unknown; readonly error?: unknown };
      if (ok === false && error instanceof Error) see({ error, type: call.type, path: call.path, ctx: call.ctx });
      return result;
    },
  };
}
