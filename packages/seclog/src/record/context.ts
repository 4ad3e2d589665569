/**
 * The request that is being answered, for code that was not handed it. Capture runs each request in a context of its
 * own; a call of `recordSecurityEvent` without a request takes the one of its context.
 *
 * The storage is made by the first request: an application that installs no capture pays nothing, as every `await`
 * of a process is a little slower once an `AsyncLocalStorage` has run.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Party } from "./security-log.ts";

/** What is known while a request is answered. */
export interface RequestContext {
  /** The framework's request. */
  readonly request: object;
  /** Who sends it, once somebody knows. */
  actor?: Party | undefined;
}

let storage: AsyncLocalStorage<RequestContext> | undefined;

/** Runs `fn`, and all that it starts, in the context of a request. */
export function runWithRequest<Result>(request: object, fn: () => Result): Result {
  storage ??= new AsyncLocalStorage<RequestContext>();
  return storage.run({ request }, fn);
}

/**
 * Goes back into a context that was lost, with the actor that it knows: code that the socket's events call, such as
 * what follows the reading of a body, runs outside of the request's context.
 */
export function runInContext<Result>(context: RequestContext, fn: () => Result): Result {
  storage ??= new AsyncLocalStorage<RequestContext>();
  return storage.run(context, fn);
}

/** The context of the code that is running, `undefined` outside of any request. */
export function currentContext(): RequestContext | undefined {
  return storage?.getStore();
}

/** The request that is being answered, `undefined` outside of any. */
export function currentRequest(): object | undefined {
  return storage?.getStore()?.request;
}

/**
 * Says who sends the current request, so that its later events name them. Call it where the session or the token is
 * checked. Does nothing outside of a request.
 */
export function setActor(actor: Party): void {
  const context = storage?.getStore();
  if (context !== undefined) context.actor = actor;
}
