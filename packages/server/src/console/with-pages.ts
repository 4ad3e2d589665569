/** The console as one `fetch(Request) → Response`: its pages, and below `api/` the API that they ask. */
import { fileURLToPath } from "node:url";
import type { ApiEnvironment } from "../api/environment.ts";
import { below } from "./base-path.ts";
import { openSite, plain, type Site } from "./site.ts";

/** A server's function, with what the server knows beside the request. */
export type Fetch<Environment> = (request: Request, environment: Environment) => Response | Promise<Response>;

/** What an installation from a checkout that was not built has. */
const UNBUILT: Site = {
  respond: async () =>
    plain(404, "This installation has no pages of the console, only /api/v1: `npm run build` makes them."),
};

/** The pages that this package has. */
export function builtSite(): Site {
  return openSite(fileURLToPath(new URL("../../console", import.meta.url))) ?? UNBUILT;
}

/** Serves the pages at every path except those of the API, which gets its paths from `/api` on. */
export function withPages<Environment extends object>(
  site: Site,
  base: string,
  api: Fetch<Environment & ApiEnvironment>,
): Fetch<Environment> {
  return async (request, environment) => {
    const path = below(base, new URL(request.url).pathname);
    return isApi(path)
      ? await api(request, { ...environment, path: `/${path}` })
      : await site.respond(request, path, base);
  };
}

/** Whether a path below the base is the API's. */
export function isApi(path: string): boolean {
  return path === "api" || path.startsWith("api/");
}
