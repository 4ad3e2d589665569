/** Saved views: queries with a name. Good ones are built in. */
import { ApiError } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { cache } from "../../data/api.ts";

export interface View {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  readonly since?: string | null;
  /** As in the address: `time,level,type`. */
  readonly columns?: string | readonly string[] | null;
  readonly built_in: boolean;
  readonly owner: string | null;
}

const KEY = ["views"];

export function useViews(): readonly View[] {
  const { data } = useQuery({
    queryKey: KEY,
    queryFn: async ({ signal }) =>
      (await send("GET", "views", undefined, signal)) as { readonly views: readonly View[] },
    staleTime: 60_000,
  });
  return data?.views ?? NONE;
}

const NONE: readonly View[] = [];

export async function saveView(view: {
  readonly name: string;
  readonly query: string;
  readonly since: string | undefined;
  readonly columns: string | undefined;
}): Promise<void> {
  await send("POST", "views", view);
  await cache.invalidateQueries({ queryKey: KEY });
}

export async function removeView(id: string): Promise<void> {
  await send("DELETE", `views/${encodeURIComponent(id)}`);
  await cache.invalidateQueries({ queryKey: KEY });
}

/** The view's columns as in the address. */
export function columnsOf({ columns }: View): string | undefined {
  if (columns === undefined || columns === null) return undefined;
  return typeof columns === "string" ? columns : columns.join(",");
}

async function send(method: string, path: string, body?: object, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(new URL(`api/v1/${path}`, document.baseURI), {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  if (response.ok) return text === "" ? {} : JSON.parse(text);
  let failure = { code: "HTTP", message: `the server answered ${response.status}` };
  try {
    failure = (JSON.parse(text) as { error: typeof failure }).error;
  } catch {
    // A proxy's page says less than the status.
  }
  throw new ApiError(response.status, failure);
}
