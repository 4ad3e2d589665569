/**
 * The request that is being answered, for code that was not handed it. Capture runs each request in a context of its
 * own; a call of `recordSecurityEvent` without a request takes the one of its context.
 *
 * The storage is made by the first request: an application that installs no capture pays nothing, as every `await`
 * of a process is a little slower once an `AsyncLocalStorage` has run.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { EventEmitter } from "node:events";
import { type RequestContext, sharedState } from "./copies.ts";
import type { Party } from "./facts.ts";

export type { RequestContext } from "./copies.ts";

/** The storage, made when it is first needed. */
function contexts(): AsyncLocalStorage<RequestContext> {
  const shared = sharedState();
  shared.storage ??= new AsyncLocalStorage<RequestContext>();
  return shared.storage;
}

/** Runs `fn`, and all that it starts, in the context of a request. */
export function runWithRequest<Result>(request: object, fn: () => Result): Result {
  return contexts().run({ request }, fn);
}

/** Runs `fn`, and all that it starts, in a context that exists, with the actor that it knows. */
export function runInContext<Result>(context: RequestContext, fn: () => Result): Result {
  return contexts().run(context, fn);
}

/**
 * Runs the listeners of an emitter in a context: those of a request and its response are called from the connection's
 * events, or from the code of another request that reads this one. What runs in a context of the same request stays in
 * that one.
 */
export function bindEvents(emitter: EventEmitter, context: RequestContext): void {
  const emit = emitter.emit as (...values: unknown[]) => boolean;
  emitter.emit = function (this: unknown, ...values: unknown[]): boolean {
    return currentRequest() === context.request
      ? Reflect.apply(emit, this, values)
      : runInContext(context, () => Reflect.apply(emit, this, values));
  };
}

/** The context of the code that is running, `undefined` outside of any request. */
export function currentContext(): RequestContext | undefined {
  return sharedState().storage?.getStore();
}

/** The request that is being answered, `undefined` outside of any. */
export function currentRequest(): object | undefined {
  return sharedState().storage?.getStore()?.request;
}

/**
 * Says who sends the current request, so that its later events name them. Call it where the session or the token is
 * checked. Does nothing outside of a request.
 */
export function setActor(actor: Party): void {
  const context = sharedState().storage?.getStore();
  if (context !== undefined) context.actor = actor;
}
