/**
 * Servers of which no request was seen yet. The first thing that a server receives may be bytes that no application ever
 * sees, so an adapter that learns its server from a request alone would miss their refusal. Node publishes every
 * connection, also one that is not a request. And it publishes every request before it emits it, which shows the server
 * of a connection that was there before the capture.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { WatchedServer } from "./server.ts";

/** A server of `http`, `https` or `http2`, and the listeners that answer its requests. */
export type NewServer = WatchedServer & { listeners(event: "request"): readonly unknown[] };

/** Who wants to know, each with the servers that it knows. */
const interested = new Map<(server: NewServer) => void, WeakSet<object>>();
let subscribed = false;

/**
 * Calls back with each HTTP server at its next connection, before anything is read from it, or at its next request: once
 * for each server. One function counts once. Returns the function that stops it.
 */
export function onNewServer(found: (server: NewServer) => void): () => void {
  if (!subscribed) {
    subscribe("net.server.socket", connected);
    subscribe("http.server.request.start", requested);
  }
  subscribed = true;
  interested.set(found, new WeakSet());
  return () => void interested.delete(found);
}

function connected(message: unknown): void {
  try {
    see((message as { readonly socket: Socket & { readonly server?: NewServer } }).socket.server);
  } catch {
    // Not a message of Node's.
  }
}

function requested(message: unknown): void {
  try {
    see((message as { readonly server?: NewServer }).server);
  } catch {
    // As above.
  }
}

function see(server: NewServer | undefined): void {
  if (server === undefined || !("requireHostHeader" in server || "updateSettings" in server)) return;
  for (const [found, known] of interested) {
    if (known.has(server)) continue;
    known.add(server);
    found(server);
  }
}
