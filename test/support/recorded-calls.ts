import type { CaptureFacts, CaptureLog } from "../../packages/seclog/src/capture/capture.ts";
import { causesOf, markCause } from "../../packages/seclog/src/record/causes.ts";
import { currentRequest } from "../../packages/seclog/src/record/context.ts";

/** One call of `recordSecurityEvent`, with its arguments. */
export interface RecordedCall {
  readonly type: string;
  readonly request: object | null | undefined;
  readonly data: CaptureFacts;
}

/** A log that keeps its calls and marks their causes, as the recorder does: for tests of its callers. */
export function recordedCalls(): { readonly log: CaptureLog; readonly calls: RecordedCall[] } {
  const calls: RecordedCall[] = [];
  const log: CaptureLog = {
    recordSecurityEvent(type, request = currentRequest() ?? null, data = {}) {
      if (request !== null) markCause(causesOf(request), type);
      calls.push({ type, request, data });
      return { id: null, durable: Promise.resolve(), stored: Promise.resolve() };
    },
  };
  return { log, calls };
}
