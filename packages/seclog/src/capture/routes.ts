/** A request, when the routes are asked about it. */
export interface AskedRequest {
  /** The framework's own request, or Node's where no framework saw it. */
  readonly request: object;
  /** The layer of middleware that it came to last, for frameworks that have them; unknown for a request that none saw. */
  readonly layer?: object | undefined;
}

/** What an application's routes say about a request that none of them took. */
export interface OtherMethods {
  /** The methods that the path does have, in the order of registration. */
  readonly allowed: readonly string[];
  /** The template of the first of those routes. */
  readonly route?: string | undefined;
}

/** What only the adapter of a framework knows. */
export interface RouteKnowledge {
  /** The methods of the routes at the request's path, or `undefined` when there are none or the method is among them. */
  otherMethods(asked: AskedRequest, statusCode: number): OtherMethods | undefined;
  /**
   * For requests of which the framework has not said that the application answers them: whether its router refused the
   * request as malformed. The status of any other answer says nothing about those.
   */
  readonly refuses?: (request: object, statusCode: number) => boolean;
}
