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

const built = (name: string, query: string): View => ({
  id: `built-in:${name}`,
  name,
  query,
  built_in: true,
  owner: null,
});

/** For a server that keeps no views. */
const BUILT_IN: readonly View[] = [
  built("Worth a look", "level>=warning or type:*_successafterfail"),
  built("Failed sign-ins", "type:authn_login_fail,authn_login_fail_max,authn_login_lock"),
  built("Success after failures", "type:*_successafterfail"),
  built("Refused access", "category:authz outcome:failure"),
  built("Wrong methods", "type:illegal_request_method"),
  built("Webhooks", "type:webhook_*"),
  built("The log itself", "category:log"),
];

const KEY = ["views"];

export interface Views {
  readonly views: readonly View[];
  /** Whether the server keeps views, so that one can be saved. */
  readonly areKept: boolean;
}

export function useViews(): Views {
  const { data } = useQuery({ queryKey: KEY, queryFn: ({ signal }) => load(signal), staleTime: 60_000 });
  // Until it is known, most servers keep them: no button appears later, and moves the others.
  return data ?? { views: BUILT_IN, areKept: true };
}

async function load(signal: AbortSignal): Promise<Views> {
  if (!(await hasViews(signal))) return { views: BUILT_IN, areKept: false };
  const { views } = (await send("GET", "views", undefined, signal)) as { views: readonly View[] };
  return { views: views.some((view) => view.built_in) ? views : [...BUILT_IN, ...views], areKept: true };
}

/** Whether the server keeps views: its description says so, without a request that fails. */
async function hasViews(signal: AbortSignal): Promise<boolean> {
  const { paths } = (await send("GET", "openapi.json", undefined, signal)) as { paths: object };
  return Object.keys(paths).some((path) => path.endsWith("/views"));
}

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
