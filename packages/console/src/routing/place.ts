/** Where the page is: its path below the console's base, and its query. The address bar is the only state that pages share. */
import { useMemo, useSyncExternalStore } from "react";

/** The path that the server put into `<base>`, with a slash at its end. */
const BASE = new URL(document.baseURI).pathname;

export interface Place {
  /** Below the base, with a slash at its start: `/explore`. */
  readonly path: string;
  readonly search: URLSearchParams;
}

/** What to change of a query; `undefined` removes a name. */
export type SearchChange = { readonly [name: string]: string | undefined };

const CHANGED = "seclog:place";

function subscribe(changed: () => void): () => void {
  window.addEventListener("popstate", changed);
  window.addEventListener(CHANGED, changed);
  return () => {
    window.removeEventListener("popstate", changed);
    window.removeEventListener(CHANGED, changed);
  };
}

/** The place of now; the page is drawn again when it changes. */
export function usePlace(): Place {
  const href = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  return useMemo(() => placeOf(href), [href]);
}

/** The place of now, for what happens after drawing. */
function currentPlace(): Place {
  return placeOf(location.pathname + location.search);
}

function placeOf(href: string): Place {
  const { pathname, search } = new URL(href, location.origin);
  const path = pathname.startsWith(BASE) ? pathname.slice(BASE.length - 1) : "/";
  return { path, search: new URLSearchParams(search) };
}

/** The address of a place, for a link: `hrefOf("/explore", { q: "ip:203.0.113.57" })`. */
export function hrefOf(path: string, search: SearchChange | URLSearchParams = {}): string {
  const given = search instanceof URLSearchParams ? search : new URLSearchParams();
  if (!(search instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(search)) if (value !== undefined) given.set(name, value);
  }
  return `${BASE.slice(0, -1)}${path}${given.size === 0 ? "" : `?${given}`}`;
}

/** Goes to an address of {@link hrefOf}; `replace` leaves no step in the history. */
export function goTo(href: string, how: "push" | "replace" = "push"): void {
  if (href === location.pathname + location.search + location.hash) return;
  if (how === "push") history.pushState(null, "", href);
  else history.replaceState(null, "", href);
  window.dispatchEvent(new Event(CHANGED));
}

/** Changes the query of the page, and keeps the rest of it. */
export function changeSearch(change: SearchChange, how: "push" | "replace" = "push"): void {
  const { path, search } = currentPlace();
  goTo(hrefOf(path, searchWith(search, change)), how);
}

/** A query with changes. */
function searchWith(search: URLSearchParams, change: SearchChange): URLSearchParams {
  const next = new URLSearchParams(search);
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) next.delete(name);
    else next.set(name, value);
  }
  return next;
}
