/**
 * A framework's settings for proxies: Express's `trust proxy`, Fastify's `trustProxy`, Koa's `app.proxy`. The
 * framework's own function decides, so the address of an event is the application's `request.ip`.
 */
import { forwardedHops, MOST_HOPS } from "./forwarded-header.ts";
import { UNIX_PEER } from "./peer.ts";

/** The client's address according to the framework's settings. */
export interface FrameworkClient {
  /** The client's entry in the header, as sent; it need not be an address. */
  readonly client: string;
  /** The header that the framework read, in lower case, and its value. */
  readonly header: string;
  readonly value: string;
  readonly proxy: FrameworkProxy;
}

/** The settings of one framework. */
export interface FrameworkProxy {
  /** The application that the setting belongs to: each is checked once. */
  readonly owner: object;
  /** The setting, as the framework's documentation writes it. */
  readonly setting: string;
  /** The setting that trusts one proxy only. */
  readonly instead: (proxy: string) => string;
  /** @default "x-forwarded-for" */
  readonly header?: string;
  /** The client, read from the header; `undefined` if the peer is not trusted. May throw. */
  readonly clientOf: (peer: string | undefined, value: string) => string | undefined;
}

/** The client's address by the framework's settings; `undefined` if those do not trust the peer. Never throws. */
export function frameworkClient(
  request: object,
  peer: string,
  headers: (name: string) => string | undefined,
): FrameworkClient | undefined {
  try {
    const proxy = frameworkProxy(request as Known);
    if (proxy === undefined) return undefined;
    const { header = "x-forwarded-for" } = proxy;
    const value = headers(header);
    if (value === undefined || value.trim() === "") return undefined;
    const client = proxy.clientOf(peer === UNIX_PEER ? undefined : peer, value);
    return client === undefined || client === peer ? undefined : { client, header, value, proxy };
  } catch {
    // The application's function threw, or the request only looks like a framework's.
    return undefined;
  }
}

/** A chain of documentation addresses (RFC 5737), longer than any real chain of proxies. */
const FORGED = `203.0.113.9${", 198.51.100.7".repeat(64)}`;

/** Whether the framework trusts anything that a client writes into the header. */
export function trustsEverybody({ clientOf }: FrameworkProxy): boolean {
  try {
    return clientOf("198.51.100.7", FORGED) === "203.0.113.9";
  } catch {
    return false;
  }
}

type Trust = (address: string | undefined, hop: number) => unknown;

interface Known {
  readonly app?: {
    /** Express: a mounted application inherits its parent's through the prototype. */
    readonly settings?: { readonly [name: string]: unknown };
    /** Koa. */
    readonly proxy?: unknown;
    readonly proxyIpHeader?: unknown;
    readonly maxIpsCount?: unknown;
  };
  /** Fastify. */
  readonly raw?: { readonly headers?: unknown };
  readonly server?: object;
}

function frameworkProxy(request: Known): FrameworkProxy | undefined {
  const { app, raw } = request;
  if (typeof app === "object" || typeof app === "function") {
    if (app === null) return undefined;
    const trust = app.settings?.["trust proxy"] ? app.settings["trust proxy fn"] : undefined;
    if (typeof trust === "function") return expressProxy(app, app.settings?.["trust proxy"], trust as Trust);
    return app.proxy === true ? koaProxy(app, app.proxyIpHeader, app.maxIpsCount) : undefined;
  }
  return typeof raw === "object" && raw !== null ? fastifyProxy(request) : undefined;
}

function expressProxy(owner: object, setting: unknown, trust: Trust): FrameworkProxy {
  return {
    owner,
    setting: `app.set("trust proxy", ${typeof setting === "function" ? "…" : JSON.stringify(setting)})`,
    instead: (proxy) => `app.set("trust proxy", ${proxy === UNIX_PEER ? 1 : JSON.stringify(proxy)})`,
    clientOf(peer, value) {
      let address = peer;
      let hop = 0;
      for (const next of forwardedHops(value)) {
        if (hop === MOST_HOPS || !trust(address, hop)) break;
        address = next;
        hop += 1;
      }
      return address;
    },
  };
}

/** Fastify does not expose its function, but its getter works on any request that it is called on. */
function fastifyProxy(request: Known): FrameworkProxy {
  return {
    owner: request.server ?? request,
    setting: "trustProxy: true",
    instead: (proxy) => `trustProxy: ${proxy === UNIX_PEER ? 1 : JSON.stringify(proxy)}`,
    clientOf(peer, value) {
      const socket = { remoteAddress: peer };
      const raw = { headers: { "x-forwarded-for": value }, socket, connection: socket };
      const ip: unknown = Reflect.get(request, "ip", { raw });
      return typeof ip === "string" ? ip : undefined;
    },
  };
}

/** Koa counts from the right, and without `maxIpsCount` takes the first address, which the client wrote. */
function koaProxy(owner: object, header: unknown, most: unknown): FrameworkProxy {
  const count = typeof most === "number" && most > 0 ? most : Number.POSITIVE_INFINITY;
  return {
    owner,
    setting: "app.proxy = true",
    instead: () => "app.maxIpsCount = 1",
    header: typeof header === "string" ? header.toLowerCase() : "x-forwarded-for",
    clientOf(_peer, value) {
      let client: string | undefined;
      let hops = 0;
      for (const hop of forwardedHops(value)) {
        client = hop;
        hops += 1;
        if (hops >= count || hops === MOST_HOPS) break;
      }
      return client;
    },
  };
}
