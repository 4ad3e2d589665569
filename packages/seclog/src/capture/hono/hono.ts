import type { IncomingMessage, ServerResponse } from "node:http";
import { configError } from "../../event/options.ts";
import { openCauses } from "../../record/causes.ts";
import { runWithRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { type Observation, observe } from "../observe.ts";
import { FetchObservation } from "../observe-fetch.ts";
import { type WatchedServer, watch } from "../server.ts";
import { honoRefusal, validatorRefusal } from "./refusals.ts";
import { type HonoApp, type HonoContext, honoRoutes } from "./routes.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";
export type { HonoContext } from "./routes.ts";

/** A Hono middleware, typed by what it is called with. */
export type HonoMiddleware = (context: HonoContext, next: () => Promise<void>) => Promise<void>;

/** Options of Hono's capture. */
export interface HonoCaptureOptions extends CaptureOptions<HonoContext> {
  /** The outermost application, whose router knows which methods a path has. */
  readonly app: object;
}

/**
 * Captures what a Hono 4 application refuses. Use it before everything else:
 *
 * ```ts
 * app.use(securityCapture(security, { app }));
 * ```
 *
 * On Node (`@hono/node-server`) the address is that of the connection, and clients that hang up are seen. From the
 * first request on, the server is watched for what Node refuses by itself; `watchServer` of `seclog/http` does so from
 * the start. Elsewhere, and for `app.request()`, a request is judged by what the application returns.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector, and without `app`.
 */
export function securityCapture(log: CaptureLog, options: HonoCaptureOptions): HonoMiddleware {
  const { app, ...others } = options;
  const capture = new Capture(log, others);
  if (typeof (app as Partial<HonoApp> | undefined)?.router?.match !== "function") {
    throw configError("securityCapture", "app", "must be the Hono application: securityCapture(log, { app })");
  }
  const routes = honoRoutes(app as HonoApp);
  return async function securityCapture(context, next) {
    let observation: Observation | FetchObservation | undefined;
    try {
      const { incoming, outgoing } = (context.env ?? {}) as NodeBindings;
      if (incoming !== undefined && outgoing !== undefined) {
        const { server } = incoming.socket as { readonly server?: WatchedServer };
        if (typeof server?.emit === "function") watch(capture, server, { routes });
        observation = observe(capture, incoming, outgoing, context);
        observation.request = context;
        observation.routes = routes;
      } else {
        observation = new FetchObservation(capture, context, context.req.raw, routes);
      }
      // Whichever of them a call passes.
      for (const request of [context, context.req, context.req.raw]) openCauses(request, observation);
    } catch {
      // Not what Hono makes: go on without it.
    }
    const run = (): Promise<void> => next();
    await (capture.context
      ? observation === undefined
        ? runWithRequest(context, run)
        : observation.enter(run)
      : run());
    if (observation === undefined) return;
    try {
      await see(observation, context);
    } catch {
      // A response that cannot be read: its status says enough.
    }
    if (observation instanceof FetchObservation) observation.end(context.res);
  };
}

/** What `@hono/node-server` adds to a request's environment. */
interface NodeBindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

/** Hono keeps the last error, also one that a handler of the application answered. */
async function see(observation: Observation | FetchObservation, context: HonoContext): Promise<void> {
  const { error, res } = context;
  if (error !== undefined) {
    const refusal = honoRefusal(error, context);
    if (refusal === undefined) observation.sawError(error);
    else observation.sawRefusal(refusal);
  } else if (res.status === 400 || res.status === 422) {
    const refusal = await validatorRefusal(res);
    if (refusal !== undefined) observation.sawRefusal(refusal);
  }
}
