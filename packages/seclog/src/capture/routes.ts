import type { IncomingMessage } from "node:http";

/** A request for which the routes are consulted. */
export interface AskedRequest {
  /** The framework's own request, or Node's where no framework saw it. */
  readonly request: object;
  /** The layer of middleware that it reached last, in frameworks with layers; unknown for a request that none saw. */
  readonly layer?: object | undefined;
}

/** What an application's routes reveal about a request that none of them took. */
export interface OtherMethods {
  /** The methods that the path has, in the order of registration. */
  readonly allowed: readonly string[];
  /** The template of the first of those routes. */
  readonly route?: string | undefined;
}

/** Knowledge that only the adapter of a framework has. */
export interface RouteKnowledge {
  /** The methods of the routes at the request's path; `undefined` when it has none, or the method is among them. */
  otherMethods(asked: AskedRequest, statusCode: number): OtherMethods | undefined;
  /**
   * For requests that the framework has not attributed to the application: whether its router refused the request as
   * malformed. The status of any other response proves nothing about those.
   */
  readonly refuses?: (request: object, statusCode: number) => boolean;
  /** Makes the framework's request of Node's, if the framework has not: only where there is an event to record. */
  readonly dress?: (request: IncomingMessage) => object;
}
