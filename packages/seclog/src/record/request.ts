/**
 * The facts of a request, whatever framework created it. Requests are recognised by their shape: Node's own (also
 * HTTP/2 and Express), Fastify's, Koa's and Hono's contexts, a Fetch `Request`, and plain objects with the same
 * members. A request may be half destroyed, forged or hostile: the readable facts are taken, the others omitted, and
 * nothing is thrown.
 */
import { isRegExp } from "node:util/types";
import { EVENT_COLUMNS } from "../event/columns.ts";
import type { CorePart, PersonalPart } from "../event/event.ts";
import { keepText, type NoteTaker } from "../event/text.ts";
import { innerRequest, type RequestSubject } from "./addressed-request.ts";
import { causesOf } from "./causes.ts";
import { clean } from "./clean.ts";
import type { ClientIp, ClientIpReader } from "./client-ip.ts";
import { peerOfSocket } from "./peer.ts";
import { REDACTED, type Redactor } from "./redact.ts";
import { pathOfTarget } from "./stored-text.ts";

/** The facts of a request that have columns of their own. Absent ones are omitted. */
export type RequestFacts = {
  -readonly [Fact in RequestFact]?: (CorePart & PersonalPart)[Fact] | undefined;
};

type RequestFact =
  | "method"
  | "methodOriginal"
  | "path"
  | "route"
  | "statusCode"
  | "requestHost"
  | "userAgent"
  | "requestId"
  | "traceId"
  | "spanId"
  | keyof ClientIp;

/** RFC 9110, and PATCH (RFC 5789) and QUERY. Any other is `_OTHER`, as OpenTelemetry requires. */
const METHODS: ReadonlySet<string> = new Set([
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"],
]);

/** Stored for an unknown method. */
const OTHER_METHOD = "_OTHER";

const REQUEST_ID = /^[A-Za-z0-9._:+/=@-]{1,128}$/;

/** W3C Trace Context: version ff is invalid, later versions than 00 may add fields. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

type Unknown = { readonly [name: string]: unknown };

/** Whether a value has the shape of a request of any framework. Never throws. */
export function isRequest(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const request = innerRequest(value);
  try {
    return hasRequestShape(request as Unknown);
  } catch {
    return hasRequestShape(guarded(request));
  }
}

function hasRequestShape(value: Unknown): boolean {
  const raw = rawRequest(value);
  if (asObject(raw.headers) !== undefined || asText(raw[":method"]) !== undefined) return true;
  return asText(raw.method) !== undefined && asText(raw.url) !== undefined;
}

/**
 * Reads the facts of a request: as many as it can, and none from an object that is not a request. Never throws.
 *
 * @param facts receives them
 */
export function requestFacts(
  subject: RequestSubject,
  clientIp: ClientIpReader,
  redactor: Redactor,
  notes: NoteTaker,
  facts: RequestFacts = {},
): RequestFacts {
  try {
    readFacts(subject.request as Unknown, subject, facts, clientIp, redactor, notes);
  } catch {
    // A getter threw: read again through a guard, and take what is readable.
    try {
      readFacts(guarded(subject.request), subject, facts, clientIp, redactor, notes);
    } catch {
      notes.flag("the request could not be read");
    }
  }
  return facts;
}

/** The client's address and the route's template; of a request that throws, neither. Never throws. */
export function requestIdentity(
  { request, remoteAddress }: RequestSubject,
  clientIp: ClientIpReader,
): { readonly address: string | undefined; readonly route: string | undefined } {
  try {
    const raw = rawRequest(request as Unknown);
    const peer = remoteAddress ?? peerOf(request as Unknown, raw);
    return {
      address: clientIp.read(peer, headersOf(raw), request).ipAddress,
      route: routeOf(request as Unknown, raw),
    };
  } catch {
    return { address: undefined, route: undefined };
  }
}

function readFacts(
  request: Unknown,
  { remoteAddress }: RequestSubject,
  facts: RequestFacts,
  clientIp: ClientIpReader,
  redactor: Redactor,
  notes: NoteTaker,
): void {
  const raw = rawRequest(request);
  const headers = headersOf(raw);

  const method = asText(raw.method) ?? headers(":method");
  if (method !== undefined && method !== "") {
    if (METHODS.has(method)) facts.method = method;
    else {
      facts.method = OTHER_METHOD;
      facts.methodOriginal = clean(method, "methodOriginal", redactor, notes);
    }
  }

  const target = asText(request.originalUrl) ?? asText(raw.originalUrl) ?? asText(raw.url) ?? headers(":path");
  const path = target === undefined || method === "CONNECT" ? undefined : pathOfTarget(target);
  // Do not remember a slice of the target, which would retain the whole in memory.
  if (path !== undefined) facts.path = clean(path, "path", redactor, notes, path === target);

  const route = routeOf(request, raw);
  if (route !== undefined) facts.route = clean(route, "route", redactor, notes, true);

  const statusCode = statusOf(request, raw);
  if (statusCode !== undefined) facts.statusCode = statusCode;

  const host = headers("host") ?? headers(":authority") ?? hostOf(target, method);
  if (host !== undefined && host !== "") {
    facts.requestHost = clean(host, "requestHost", redactor, notes, true);
  }

  const agent = headers("user-agent");
  if (agent !== undefined && agent !== "") {
    facts.userAgent = clean(agent, "userAgent", redactor, notes, true);
  }

  const id = headers("x-request-id");
  if (id !== undefined) {
    if (UUID.test(id) && redactor.columnClass("requestId") === undefined) facts.requestId = id;
    else if (REQUEST_ID.test(id)) facts.requestId = clean(id, "requestId", redactor, notes);
  }

  const parent = headers("traceparent");
  if (parent !== undefined && parent.length < 512) {
    const trace = TRACEPARENT.exec(parent);
    if (trace !== null && (trace[1] !== "00" || trace[4] === undefined)) {
      takeHex(trace[2], "traceId", facts, redactor, notes);
      takeHex(trace[3], "spanId", facts, redactor, notes);
    }
  }

  const ip = clientIp.read(remoteAddress ?? peerOf(request, raw), headers, request);
  if (ip.ipSource === undefined) return;
  facts.ipSource = ip.ipSource;
  if (redactor.secretColumn("ipAddress")) {
    notes.redacted("ipAddress");
    return;
  }
  if (ip.ipAddress !== undefined) facts.ipAddress = redactor.addresses(ip.ipAddress);
  if (ip.ipChain !== undefined) facts.ipChain = keepChain(ip.ipChain, redactor, notes);
}

/** A column of hexadecimal digits, which stays empty if the application named it as secret. */
function takeHex(
  value: string | undefined,
  name: "traceId" | "spanId",
  facts: RequestFacts,
  redactor: Redactor,
  notes: NoteTaker,
): void {
  if (value === undefined) return;
  if (redactor.secretColumn(name)) notes.redacted(name);
  else facts[name] = value;
}

/** Trusted proxies wrote the right end of a chain, so a long one is cut at the left. */
function keepChain(chain: string, redactor: Redactor, notes: NoteTaker): string {
  if (redactor.secretColumn("ipChain")) {
    notes.redacted("ipChain");
    return REDACTED;
  }
  if (chain.length > EVENT_COLUMNS.ipChain.limit) notes.truncated("ipChain", chain.length);
  const kept = redactor.addresses(chain.slice(-EVENT_COLUMNS.ipChain.limit));
  const safe = redactor.id(kept);
  if (safe !== kept) notes.redacted("ipChain");
  return keepText(safe, "ipChain", EVENT_COLUMNS.ipChain.limit * 2, notes);
}

/**
 * Wraps an object so that its getters cannot throw. Only for requests that threw, since a Proxy costs as much as
 * everything else.
 */
function guarded(holder: object): Unknown {
  return new Proxy<Unknown>(
    {},
    {
      get(_, name) {
        try {
          const value: unknown = Reflect.get(holder, name);
          if (typeof value === "function") return value.bind(holder) as unknown;
          return typeof value === "object" && value !== null && !Array.isArray(value) ? guarded(value) : value;
        } catch {
          return undefined;
        }
      },
      ownKeys: () => namesOf(holder),
      getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true }),
    },
  );
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function asObject(value: unknown): Unknown | undefined {
  return typeof value === "object" && value !== null ? (value as Unknown) : undefined;
}

/** The request under a framework's: Fastify's `raw`, Koa's `req`, Hono's `req.raw`. */
function rawRequest(request: Unknown): Unknown {
  const raw = asObject(request.raw);
  if (raw !== undefined && asObject(raw.headers) !== undefined) return raw;
  const req = asObject(request.req);
  // A response has a `req` too, and in some frameworks so does Node's own request; only a context lacks headers of its
  // own.
  if (req === undefined || (asObject(request.headers) !== undefined && asObject(request.res) === undefined)) {
    return request;
  }
  const inner = asObject(req.raw);
  return inner !== undefined && asObject(inner?.headers) !== undefined ? inner : req;
}

/** How to read a header: from Node's object or from a Fetch `Headers`. */
function headersOf(raw: Unknown): (name: string) => string | undefined {
  const headers = asObject(raw.headers) ?? (asText(raw[":method"]) === undefined ? undefined : raw);
  if (headers === undefined) return noHeader;
  if (typeof headers?.get === "function") {
    return (name) => {
      // A Fetch `Headers` throws for the pseudo-headers of HTTP/2.
      if (name.startsWith(":")) return undefined;
      try {
        const value: unknown = (headers as unknown as Pick<Headers, "get">).get(name);
        return typeof value === "string" ? value : undefined;
      } catch {
        return undefined;
      }
    };
  }
  return (name) => {
    const value = headers[name];
    if (typeof value === "string") return value;
    // A repeated header: all values, in the order received.
    return Array.isArray(value) ? value.filter((item) => typeof item === "string").join(", ") : undefined;
  };
}

function noHeader(): undefined {
  return undefined;
}

/** The host of a target in absolute form, or that of CONNECT. */
function hostOf(target: string | undefined, method: string | undefined): string | undefined {
  if (target === undefined) return undefined;
  if (method === "CONNECT") return target;
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#]*@)?([^/?#]+)/.exec(target.slice(0, 4096))?.[1];
}

/** The template of the matched route, as the application wrote it. */
function routeOf(request: Unknown, raw: Unknown): string | undefined {
  // Express. Koa's routers use names of their own, below.
  const route = request.route ?? raw.route;
  if (typeof route === "object" && route !== null) {
    const path = template((route as Unknown).path);
    return path === undefined ? undefined : mountPath(request) + path;
  }
  const fastify = asText(asObject(request.routeOptions)?.url);
  if (fastify !== undefined) return fastify;
  const koa = template(request._matchedRoute ?? request.routerPath);
  if (koa !== undefined) return koa;
  return honoRoute(asObject(request.req));
}

/** The last route that matched, which is not necessarily the one that answered: middleware may have refused. */
function honoRoute(req: Unknown | undefined): string | undefined {
  const routes = req?.matchedRoutes;
  const path = asText(Array.isArray(routes) ? (Object(routes.at(-1)) as Unknown).path : req?.routePath);
  return path === "*" || path === "/*" ? undefined : path;
}

function template(path: unknown): string | undefined {
  if (typeof path === "string") return path;
  if (isRegExp(path)) return String(path);
  return Array.isArray(path) ? template(path[0]) : undefined;
}

/**
 * The mount path of an Express router. `baseUrl` contains the parameters' values, and the route stays when a person is
 * erased, so anything that looks like a value becomes `*`.
 */
function mountPath(request: Unknown): string {
  const base = asText(request.baseUrl);
  if (base === undefined || base === "") return "";
  const params = asObject(request.params) ?? {};
  const names = namesOf(params);
  return base
    .slice(0, EVENT_COLUMNS.route.limit)
    .split("/")
    .map((step) => {
      const param = step === "" ? undefined : names.find((name) => params[name] === step);
      if (param !== undefined) return `:${param}`;
      return /^(?:|[A-Za-z][A-Za-z_-]{0,39}|v\d{1,3})$/.test(step) ? step : "*";
    })
    .join("/");
}

function namesOf(params: object): readonly string[] {
  try {
    return Object.keys(params);
  } catch {
    return [];
  }
}

/** The status of the response, once its head was sent: until then it is only a default. */
function statusOf(request: Unknown, raw: Unknown): number | undefined {
  let status: unknown;
  if (typeof request.finalized === "boolean") {
    // Reading Hono's `res` too early creates an empty response.
    status = request.finalized === true ? asObject(request.res)?.status : undefined;
  } else {
    const response = asObject(raw.res) ?? asObject(request.res);
    status = response?.headersSent === true ? response?.statusCode : undefined;
  }
  return typeof status === "number" && Number.isInteger(status) && status >= 100 && status <= 999 ? status : undefined;
}

/** The peer of the request's socket. A destroyed socket has none, but capture may have noted it before. */
function peerOf(request: Unknown, raw: Unknown): string | undefined {
  // Hono on Node keeps the request in its environment.
  const socket =
    asObject(raw.socket) ?? asObject(raw.connection) ?? asObject(asObject(asObject(request.env)?.incoming)?.socket);
  return (
    asText(socket?.remoteAddress) ?? causesOf(raw)?.peer ?? (socket === undefined ? undefined : peerOfSocket(socket))
  );
}
