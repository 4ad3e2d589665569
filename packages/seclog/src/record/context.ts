/**
 * The current request, for code that was not passed it. Capture runs each request in a context of its
 * own; a call of `recordSecurityEvent` without a request uses the one of its context.
 *
 * The first request creates the storage. An application without capture pays nothing, whereas every `await`
 * of a process is a little slower once an `AsyncLocalStorage` has run.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { EventEmitter } from "node:events";
import { type RequestContext, sharedState } from "./copies.ts";
import type { Party } from "./facts.ts";

export type { RequestContext } from "./copies.ts";

/** The storage, created when first needed. */
function contexts(): AsyncLocalStorage<RequestContext> {
  const shared = sharedState();
  shared.storage ??= new AsyncLocalStorage<RequestContext>();
  return shared.storage;
}

/** Runs `fn`, and all that it starts, in the context of a request. */
export function runWithRequest<Result>(request: object, fn: () => Result): Result {
  return contexts().run({ request }, fn);
}

/** Runs `fn`, and all that it starts, in an existing context, with its actor. */
export function runInContext<Result>(context: RequestContext, fn: () => Result): Result {
  return contexts().run(context, fn);
}

/**
 * Runs the listeners of an emitter in a context: a request's and a response's are called from the connection's
 * events, or from another request's code that reads this one. Listeners that already run in a context of the same
 * request stay in it.
 */
export function bindEvents(emitter: EventEmitter, context: RequestContext): void {
  const emit = emitter.emit as (...values: unknown[]) => boolean;
  emitter.emit = function (this: unknown, ...values: unknown[]): boolean {
    return currentRequest() === context.request
      ? Reflect.apply(emit, this, values)
      : runInContext(context, () => Reflect.apply(emit, this, values));
  };
}

/** The context of the running code; `undefined` outside a request. */
export function currentContext(): RequestContext | undefined {
  return sharedState().storage?.getStore();
}

/** The request of the running code; `undefined` outside a request. */
export function currentRequest(): object | undefined {
  return sharedState().storage?.getStore()?.request;
}

/**
 * Names the sender of the current request as the actor of its later events. Call it where the session or the token is
 * checked. Does nothing outside a request.
 */
export function setActor(actor: Party): void {
  const context = sharedState().storage?.getStore();
  if (context !== undefined) context.actor = actor;
}
