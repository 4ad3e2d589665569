/** Who is signed in, and how one signs in here. */
import { ApiError } from "@seclog/api";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { cache } from "./api.ts";

export interface Session {
  /** `null`: nobody is signed in. */
  readonly user: { readonly name: string; readonly role: string } | null;
  /** Whether the console has no user yet: the one-time link makes the first one. */
  readonly setup: boolean;
  /** `application`: the application that mounts the console signs its users in. `token`: a link of the terminal. */
  readonly sign_in: "password" | "oidc" | "both" | "application" | "token";
  /** The host of the OpenID provider. */
  readonly oidc: string | null;
  /** The origin of the log's checkpoints. */
  readonly log: string | null;
  readonly may: readonly ("personal" | "query" | "export" | "views" | "verify" | "users")[];
}

const KEY = ["session"];

export function useSession(): UseQueryResult<Session> {
  return useQuery({ queryKey: KEY, queryFn: ({ signal }) => send("GET", undefined, signal), staleTime: 60_000 });
}

/** @throws ApiError with the sentence to show */
export async function signIn(name: string, password: string): Promise<void> {
  begin(await send("POST", { name, password }));
}

/** Makes the first user, by the one-time link, and signs in. */
export async function setUp(code: string, name: string, password: string): Promise<void> {
  begin(await send("POST", { code, name, password }, undefined, "setup"));
}

export async function signOut(): Promise<void> {
  await send("DELETE");
  // What is shown asks again, and learns that nobody is signed in.
  await cache.resetQueries();
}

function begin(session: Session): void {
  // Not the session itself: the page that shows it would wait for an answer that no longer comes.
  cache.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== KEY[0] });
  cache.setQueryData(KEY, session);
}

async function send(method: string, body?: object, signal?: AbortSignal, path = "session"): Promise<Session> {
  const response = await fetch(new URL(`api/v1/${path}`, document.baseURI), {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = response.status === 204 ? "{}" : await response.text();
  const read: unknown = JSON.parse(text);
  if (!response.ok) throw new ApiError(response.status, (read as { error: ApiError["failure"] }).error);
  return read as Session;
}
