/** The contract's cases of who a client is and what it may do. */
import { createHmac } from "node:crypto";
import { type CaptureCase, casesOf, HTTP1, json } from "./case.ts";
import { CONTRACT } from "./values.ts";

const REFUSED = [401];
/** Recorded before the application answers. */
const LOGIN_FAILED = {
  type: "authn_login_fail",
  level: "warning",
  status: undefined,
  actor: CONTRACT.username,
} as const;

export const ACCESS_CASES: readonly CaptureCase[] = casesOf({
  "401: no credentials": {
    run: async (client) => (await client.send("GET", "/private")).status,
    answers: REFUSED,
    events: [{ type: "unauthenticated_request", level: "warning", data: { scheme: "Bearer" } }],
  },
  "401: a token with a forged signature, by the usual library": {
    run: async (client) => (await client.send("GET", "/token", bearer({}, "another key"))).status,
    answers: REFUSED,
    events: [{ type: "unauthenticated_request", level: "warning", data: { reason: true } }],
  },
  "401: an expired token, by the usual library": {
    run: async (client) => (await client.send("GET", "/token", bearer({ exp: 1_000 }))).status,
    answers: REFUSED,
    events: [{ type: "unauthenticated_request", level: "warning", data: { reason: true } }],
  },
  "a login that fails": {
    run: async (client) => (await client.send("POST", "/login", login("wrong"))).status,
    answers: REFUSED,
    events: [{ ...LOGIN_FAILED, route: "/login" }],
  },
  "a login that succeeds": {
    run: async (client) => (await client.send("POST", "/login", login(CONTRACT.password))).status,
    answers: [200],
    events: [{ type: "authn_login_success", level: "info", status: undefined, actor: CONTRACT.username }],
  },
  "a login that fails and is sent back to the form": {
    run: async (client) => (await client.send("POST", "/login?redirect=1", login("wrong"))).status,
    answers: [302, 303],
    events: [LOGIN_FAILED],
  },
  "a failed login that the application does not record, with loginPath": {
    options: { loginPath: "/login" },
    run: async (client) => (await client.send("POST", "/login?redirect=1&silent=1", login("wrong"))).status,
    answers: [302, 303],
    events: [{ type: "authn_login_fail", level: "warning" }],
  },
  "a login that the application does not record, with loginPath": {
    options: { loginPath: "/login" },
    run: async (client) => (await client.send("POST", "/login?silent=1", login(CONTRACT.password))).status,
    answers: [200],
    events: [{ type: "authn_login_success", level: "info" }],
  },
  "403 for a user who is signed in": {
    run: async (client) => (await client.send("GET", "/admin", { headers: { "x-user": "ada" } })).status,
    answers: [403],
    events: [{ type: "authz_fail", level: "critical", actor: "ada", route: "/admin" }],
  },
  "403 for a stranger, who cannot cause a critical event": {
    run: async (client) => (await client.send("GET", "/forbidden")).status,
    answers: [403],
    events: [{ type: "authz_fail", level: "warning", route: "/forbidden" }],
  },
  "checkAccess(): the 404 that hides an order": {
    run: async (client) => (await client.send("GET", "/orders-of/bob", { headers: { "x-user": "ada" } })).status,
    answers: [404],
    events: [
      { type: "authz_fail", level: "critical", status: undefined, actor: "ada", data: { resource: "orders/bob" } },
    ],
  },
  "a client that hangs up before a slow 403": {
    async run(client) {
      await client.giveUp("GET", "/slow");
      return undefined;
    },
    events: [{ type: "authz_fail", level: "warning", status: 403, route: "/slow" }],
  },
  "an upgrade that the application refuses with 401": {
    protocols: HTTP1,
    run: async (client) => (await client.raw(upgrade("/socket"))).status,
    answers: REFUSED,
    events: [{ type: "unauthenticated_request", level: "warning" }],
  },
  "an upgrade from a foreign origin that the application refuses with 403": {
    protocols: HTTP1,
    run: async (client) => (await client.raw(upgrade("/socket", "Origin: https://evil.example\r\n"))).status,
    answers: [403],
    events: [{ type: "origin_rejected", level: "warning", data: { origin: "https://evil.example" } }],
  },
});

function login(password: string): ReturnType<typeof json> {
  return json({ username: CONTRACT.username, password });
}

/** A JSON Web Token (RFC 7519) with HS256. */
function bearer(claims: object, secret: string = CONTRACT.tokenSecret): { headers: { authorization: string } } {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: "ada", ...claims })}`;
  const signature = createHmac("sha256", secret).update(text).digest("base64url");
  return { headers: { authorization: `Bearer ${text}.${signature}` } };
}

/** A WebSocket handshake (RFC 6455) through the proxy. */
function upgrade(path: string, headers = ""): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: shop.example",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    `X-Forwarded-For: ${CONTRACT.clientAddress}`,
    `${headers}\r\n`,
  ].join("\r\n");
}
