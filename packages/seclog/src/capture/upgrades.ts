/**
 * What happens to a connection that leaves HTTP: the application answers an upgrade on the socket itself, so its refusal
 * is read from the first bytes that it writes.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { causesOf, openCauses, RequestCauses } from "../record/causes.ts";
import { peerOfSocket } from "../record/peer.ts";
import { nextTick } from "../runtime/timers.ts";
import type { Capture } from "./capture.ts";
import { DETECTED, REFUSALS } from "./detectors.ts";
import { judge } from "./judge.ts";
import { watchAnswer } from "./socket-answer.ts";

/**
 * Watches an upgrade until it is answered, and records its refusal. Never throws.
 *
 * @param request what is passed to the log
 */
export function watchUpgrade(capture: Capture, raw: IncomingMessage, request: object, socket: Socket): void {
  if (causesOf(raw) !== undefined) return;
  const causes = new RequestCauses(capture.actor);
  causes.request = request;
  causes.peer = peerOfSocket(socket);
  openCauses(raw, causes);
  watchAnswer(socket, ({ statusCode, header }) => {
    // The application may record the refusal itself, just behind its answer.
    nextTick(() => {
      if (statusCode < 400) return;
      const explained = causes.types.some((type) => REFUSALS.has(type));
      const findings = judge({
        statusCode,
        refusals: undefined,
        explained,
        unrouted: false,
        failed: false,
        failure: undefined,
        method: raw.method ?? "",
        target: raw.url ?? "",
        headers: raw.headers,
        request,
        routes: undefined,
        header,
        detects: (detector) => capture.detects(detector),
        traps: undefined,
      });
      for (const { detector, facts } of findings) {
        if (!causes.types.includes(DETECTED[detector])) capture.record(detector, request, facts);
      }
    });
  });
}
