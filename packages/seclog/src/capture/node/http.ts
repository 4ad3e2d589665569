import type { IncomingMessage, ServerResponse } from "node:http";
import { runWithRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { type Observation, observe } from "../observe.ts";
import { type WatchedServer, watch } from "../server.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";
export type { WatchedServer } from "../server.ts";
export { captureProcess } from "./process.ts";

/** A listener of `http.createServer`, `https.createServer` or `http2.createServer`. */
export type RequestListener<
  Request extends object = IncomingMessage,
  Response extends object = ServerResponse,
  Result = unknown,
> = (request: Request, response: Response) => Result;

/**
 * Captures what the listener of a `node:http` server refuses, by its status:
 *
 * ```ts
 * const server = http.createServer(securityCapture(security, listener));
 * watchServer(security, server);
 * ```
 *
 * Without a router, a wrong method is one that the listener answers with 405 or 501; the allowed methods are those of
 * its `Allow` header. What the listener returns or throws passes unchanged. From the first request on, the server is
 * watched as well; {@link watchServer} starts that at once.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function securityCapture<
  Request extends object = IncomingMessage,
  Response extends object = ServerResponse,
  Result = unknown,
>(
  log: CaptureLog,
  listener: RequestListener<Request, Response, Result>,
  options: CaptureOptions<Request> = {},
): RequestListener<Request, Response, Result> {
  const capture = new Capture(log, options);
  let server: unknown;
  return function (this: unknown, request, response) {
    const answer = (): Result => Reflect.apply(listener, this, [request, response]);
    let observation: Observation | undefined;
    try {
      const current = (request as { readonly socket?: { readonly server?: WatchedServer } }).socket?.server;
      if (current !== server && typeof current?.emit === "function") {
        server = current;
        watch(capture, current);
      }
      observation = observe(
        capture,
        request as unknown as IncomingMessage,
        response as unknown as ServerResponse,
        request,
      );
    } catch {
      // A request that is not Node's own: leave it to the listener.
    }
    if (!capture.context) return answer();
    return observation === undefined ? runWithRequest(request, answer) : observation.enter(answer);
  };
}

/**
 * Records what Node's parser refuses before any application code runs: unknown methods as `illegal_request_method`,
 * headers that are too large (431), requests that take too long (408), bytes that are not HTTP and requests without
 * `Host` (400) as `input_validation_fail`. Node, or the application's `clientError` listener, responds as before.
 *
 * @returns a function that stops it.
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function watchServer(log: CaptureLog, server: WatchedServer, options: CaptureOptions = {}): () => void {
  return watch(new Capture(log, options), server);
}
