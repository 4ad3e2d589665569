/**
 * Observes what Node's requests and responses emit, and the head that a response writes, in one place for all of them:
 * methods of their own on each object, and listeners, would cost as much as everything else that capture does for a
 * request that leaves no event. Those that no capture observes pass untouched.
 */
import { IncomingMessage, ServerResponse } from "node:http";
import { causesAt } from "../record/causes.ts";
import { currentRequest, type RequestContext, runInContext } from "../record/context.ts";

/** What an observation receives from the prototypes. */
export interface Receiver {
  /** The context in which listeners run; `undefined` if no capture wants one. */
  readonly bound: RequestContext | undefined;
  /** The response emits an event, before its listeners run. */
  responseEmits(event: unknown): void;
  /** The response has written its head, with the arguments of `writeHead`. */
  headWritten(values: readonly unknown[]): void;
}

type Emit = (this: unknown, ...values: unknown[]) => boolean;

let installed = false;

/** Begins to observe, once for the process. */
export function observePrototypes(): void {
  if (installed) return;
  installed = true;
  const request = IncomingMessage.prototype as { emit: Emit };
  const emitOfRequest = request.emit;
  request.emit = function (...values) {
    const context = receiverOf(this)?.bound;
    if (context === undefined || currentRequest() === context.request)
      return Reflect.apply(emitOfRequest, this, values);
    return runInContext(context, () => Reflect.apply(emitOfRequest, this, values));
  };
  const response = ServerResponse.prototype as unknown as { emit: Emit; writeHead: (...values: unknown[]) => unknown };
  const emitOfResponse = response.emit;
  response.emit = function (...values) {
    const receiver = receiverOf((this as ServerResponse).req);
    if (receiver === undefined) return Reflect.apply(emitOfResponse, this, values);
    const context = receiver.bound;
    if (context === undefined || currentRequest() === context.request) {
      receiver.responseEmits(values[0]);
      return Reflect.apply(emitOfResponse, this, values);
    }
    return runInContext(context, () => {
      receiver.responseEmits(values[0]);
      return Reflect.apply(emitOfResponse, this, values);
    });
  };
  const { writeHead } = response;
  response.writeHead = function (this: unknown, ...values) {
    const result = Reflect.apply(writeHead, this, values);
    receiverOf((this as ServerResponse).req)?.headWritten(values);
    return result;
  };
}

function receiverOf(request: unknown): Receiver | undefined {
  const causes = typeof request === "object" && request !== null ? causesAt(request) : undefined;
  return causes !== undefined && "headWritten" in causes ? (causes as unknown as Receiver) : undefined;
}
