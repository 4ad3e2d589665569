import type { IncomingMessage, ServerResponse } from "node:http";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { onNewServer } from "../new-servers.ts";
import { type Observation, observeLoosely } from "../observe.ts";
import { watch } from "../server.ts";

/**
 * Captures what every HTTP server of this process refuses, whatever its framework: Next.js, SvelteKit, Nuxt, Remix,
 * Astro, hapi. Call it once, before or after the servers are opened:
 *
 * ```ts
 * captureProcess(security);
 * ```
 *
 * It judges by requests and responses alone, so it knows no routes and sees no errors: wrong methods are those that are
 * answered with 405 or 501. A request that a framework's own capture sees as well is that one's.
 *
 * @returns a function that stops it; requests under way are still recorded.
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function captureProcess(log: CaptureLog, options: CaptureOptions = {}): () => void {
  const capture = new Capture(log, options);
  const stops: (() => void)[] = [];
  const around = (request: unknown, response: unknown, pass: () => boolean): boolean => {
    let observation: Observation | undefined;
    try {
      observation = observeLoosely(capture, request as IncomingMessage, response as ServerResponse);
    } catch {
      // Not what Node emits.
    }
    return observation === undefined || !capture.context ? pass() : observation.enter(pass);
  };
  stops.push(onNewServer((server) => void stops.push(watch(capture, server, { around }))));
  return () => {
    for (const stop of stops.splice(0)) stop();
  };
}
