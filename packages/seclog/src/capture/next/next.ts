import type { IncomingMessage, ServerResponse } from "node:http";
import { currentRequest } from "../../record/context.ts";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { onNewServer } from "../new-servers.ts";
import { type Observation, observationOf, observeLoosely } from "../observe.ts";
import { watch } from "../server.ts";
import { isControlFlow } from "./control-flow.ts";
import { METHODS, NextServed, nextRoutes } from "./routes.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";
export { type NextConfigured, withSeclog } from "./config.ts";
export { withSecurityLog } from "./handlers.ts";

/** Options of Next's capture. It always knows the current request, since handlers find it by that. */
export type NextCaptureOptions = Omit<CaptureOptions, "context">;

/** The name of the process's log. Global, since Next evaluates a module once for each of its bundles. */
const REGISTERED: unique symbol = Symbol.for("seclog.next.log") as never;

/** The program of Next's workers, which evaluate routes for what they export, and answer no request. */
const WORKER = /[\\/]jest-worker[\\/]processChild\.js$/;

interface Registry {
  [REGISTERED]?: object;
}

/**
 * Opens the application's log once for the process, and captures what the application refuses. Keep it in a module of
 * its own, which `instrumentation.ts` and every route import:
 *
 * ```ts
 * // security-log.ts
 * export const security = register(() => createSecurityLog({ … }));
 * ```
 *
 * Next evaluates such a module several times, in one bundle for each kind of code: the first call opens the log, the
 * others return it. `next build` and the workers of `next dev` evaluate it as well: the log is then opened only if a page
 * records while it is prerendered.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector, and what `open` throws.
 */
export function register<Log extends CaptureLog & object>(open: () => Log, options: NextCaptureOptions = {}): Log {
  const registry = globalThis as Registry;
  const known = registry[REGISTERED];
  if (known !== undefined) return known as Log;
  if (process.env["NEXT_PHASE"] === "phase-production-build" || WORKER.test(process.argv[1] ?? "")) {
    return unopened(open);
  }
  const log = open();
  securityCapture(log, options);
  registry[REGISTERED] = log;
  return log;
}

/** A log that is opened when something uses it. */
function unopened<Log extends object>(open: () => Log): Log {
  let opened: Log | undefined;
  return new Proxy({} as Log, {
    get(_, name) {
      opened ??= open();
      return Reflect.get(opened, name) as unknown;
    },
  });
}

/**
 * Captures what every route, page, Server Action and `proxy.ts` of this process refuses. `register` does so for the log
 * that it opens.
 *
 * @returns a function that stops it; requests under way are still recorded.
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function securityCapture(log: CaptureLog, options: NextCaptureOptions = {}): () => void {
  const capture = new Capture(log, options);
  const stops: (() => void)[] = [];
  const around = (request: unknown, response: unknown, pass: () => boolean): boolean => {
    let observation: Observation | undefined;
    try {
      const raw = request as IncomingMessage;
      observation = observeLoosely(capture, raw, response as ServerResponse);
      if (observation.request === raw) {
        observation.request = new NextServed(raw);
        observation.routes = nextRoutes;
        observation.unrouted = !METHODS.has(raw.method ?? "");
        if (!decodes(raw.url ?? "")) {
          observation.sawRefusal({ detector: "malformed", facts: { reason: "URIError" }, ifRefused: "or failed" });
        }
      }
    } catch {
      // Not what Node emits.
    }
    return observation === undefined ? pass() : observation.enter(pass);
  };
  stops.push(onNewServer((server) => void stops.push(watch(capture, server, { around }))));
  return () => {
    for (const stop of stops.splice(0)) stop();
  };
}

/** Next refuses a path that cannot be decoded before it chooses a route, and reports no error. */
function decodes(url: string): boolean {
  if (!url.includes("%")) return true;
  try {
    decodeURIComponent(url.split("?", 1)[0] ?? "");
    return true;
  } catch {
    return false;
  }
}

/** The part of what Next passes with an error that is read. */
interface ErrorContext {
  readonly routePath?: unknown;
}

/**
 * Sees the errors of routes, pages and Server Actions, and a Server Action that Next refuses because it comes from
 * another site. `instrumentation.ts` passes them on:
 *
 * ```ts
 * export async function onRequestError(...error: Parameters<typeof import("seclog/next").onRequestError>) {
 *   if (process.env.NEXT_RUNTIME === "nodejs") (await import("seclog/next")).onRequestError(...error);
 * }
 * ```
 */
export function onRequestError(error: unknown, _request?: unknown, context?: ErrorContext): void {
  try {
    const current = currentRequest();
    const observation = current === undefined ? undefined : observationOf(current);
    if (observation === undefined || isControlFlow(error)) return;
    if (current instanceof NextServed) current.named(context?.routePath);
    if ((error as { readonly message?: unknown } | null)?.message === "Invalid Server Actions request.") {
      observation.sawRefusal({ detector: "csrf", facts: { reason: "Server Action from another origin" } });
    } else observation.sawError(error);
  } catch {
    // A thrown value whose getters throw.
  }
}
