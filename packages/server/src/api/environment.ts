/** What the API's handlers know of a request. */
import type { IncomingMessage } from "node:http";
import type { Visitor } from "./visitor.ts";

/** What a server knows of a request beside it. */
export interface ApiEnvironment {
  /** The path from `/api` on, if the server has the API at another place. @default the URL's path */
  readonly path?: string;
  /** Node's request, if it is the server's own. */
  readonly incoming?: IncomingMessage;
  /** What the framework has for the request, for {@link Access.identify}. */
  readonly subject?: unknown;
}

/** For Hono. */
export interface Environment {
  readonly Bindings: ApiEnvironment;
  readonly Variables: { readonly visitor?: Visitor };
}
