/**
 * Servers of which no request was seen yet. The first thing that a server receives may be bytes that no application ever
 * sees, so an adapter that learns its server from a request alone would miss their refusal. Node publishes every
 * connection, also one that is not a request.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { WatchedServer } from "./server.ts";

/** A server of `http`, `https` or `http2`, and the listeners that answer its requests. */
export type NewServer = WatchedServer & { listeners(event: "request"): readonly unknown[] };

const seen = new WeakSet<object>();
const interested = new Set<(server: NewServer) => void>();

/**
 * Calls back with each HTTP server's first connection, before anything is read from it. One function counts once: pass
 * the same for every capture, since it is never forgotten.
 */
export function onNewServer(found: (server: NewServer) => void): void {
  if (interested.size === 0) subscribe("net.server.socket", connected);
  interested.add(found);
}

function connected(message: unknown): void {
  try {
    const { server } = (message as { readonly socket: Socket & { readonly server?: NewServer } }).socket;
    if (server === undefined || seen.has(server)) return;
    seen.add(server);
    if (!("requireHostHeader" in server || "updateSettings" in server)) return;
    for (const found of interested) found(server);
  } catch {
    // Not a message of Node's.
  }
}
