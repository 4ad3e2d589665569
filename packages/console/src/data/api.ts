/** The API of the server that served the page, and the cache of what it answered. */
import { type ApiClient, ApiError, apiClient, type Progress } from "@seclog/api";
import { QueryClient } from "@tanstack/react-query";

/** By cookie: the browser sends it, and no script can read it. */
export const api: ApiClient = apiClient({ url: new URL(".", document.baseURI).href });

export const cache: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The server's refusals stay refusals; what may pass is tried again.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status < 500),
      staleTime: 10_000,
      refetchOnWindowFocus: false,
    },
  },
});

/**
 * Asks for a count part by part until it is done, and shows what it has after each: an answer without an index takes
 * longer than a page should wait.
 *
 * @param key where the cache keeps the answer
 * @param ask asks for what is before a time; `undefined` is the newest
 * @param add adds a part to what there is
 */
export async function inParts<T extends Progress>(
  key: readonly unknown[],
  ask: (before: string | undefined) => Promise<T>,
  add: (all: T, part: T) => T,
  signal: AbortSignal,
): Promise<T> {
  let all = await ask(undefined);
  // A count that is shown whole stays until it is counted whole again.
  const shown = cache.getQueryData<T>(key);
  while (!all.done && all.reached !== null && !signal.aborted) {
    if (shown?.done !== true) cache.setQueryData(key, all);
    const part = await ask(all.reached);
    if (part.reached === all.reached && !part.done) break;
    all = add(all, part);
  }
  return all;
}
