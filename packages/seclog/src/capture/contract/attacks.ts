/** The contract's cases of what only an attacker, a scanner or a broken client does. */
import { type CaptureCase, casesOf, json } from "./case.ts";
import { CONTRACT } from "./values.ts";

const EVIL = "https://evil.example";
/** How many paths that do not exist make a burst. */
const BURST = 20;

export const ATTACK_CASES: readonly CaptureCase[] = casesOf({
  "CSRF, by the usual library": {
    run: async (client) =>
      (
        await client.send("POST", "/form", {
          headers: { "content-type": "application/x-www-form-urlencoded", origin: EVIL },
          body: "amount=100",
        })
      ).status,
    answers: [403],
    events: [{ type: "malicious_csrf", level: "warning" }],
  },
  "429, by the usual library": {
    async run(client) {
      await client.send("GET", "/limited");
      return (await client.send("GET", "/limited")).status;
    },
    answers: [429],
    events: [{ type: "excess_rate_limit_exceeded", level: "warning", data: { max: 1 } }],
  },
  "a forged webhook that the snippet of Stripe's manual answers with 400": {
    run: async (client) =>
      (
        await client.send("POST", "/stripe", {
          headers: { "content-type": "application/json", "stripe-signature": `t=1,v1=${"0".repeat(64)}` },
          body: '{"type":"charge.succeeded"}',
        })
      ).status,
    answers: [400],
    events: [{ type: "webhook_signature_failure", level: "error", data: { provider: "stripe" } }],
  },
  "a forged webhook whose error reaches the framework": {
    run: async (client) =>
      (
        await client.send("POST", "/webhook", {
          headers: {
            "content-type": "application/json",
            "webhook-id": "msg_1",
            "webhook-timestamp": String(Math.floor(Date.now() / 1_000)),
            "webhook-signature": `v1,${Buffer.alloc(32).toString("base64")}`,
          },
          body: '{"type":"paid"}',
        })
      ).status,
    answers: [400, 401, 500],
    events: [{ type: "webhook_signature_failure", level: "error", data: { reason: true } }],
  },
  "CORS: an origin that the usual library refuses with an error": {
    run: async (client) => (await client.send("GET", "/cors", { headers: { origin: EVIL } })).status,
    answers: [403, 500],
    events: [{ type: "malicious_cors", level: "warning", data: { origin: EVIL } }],
  },
  "403: an origin that the application compares itself": {
    run: async (client) => (await client.send("POST", "/origin", { headers: { origin: EVIL } })).status,
    answers: [403],
    events: [{ type: "origin_rejected", level: "warning", data: { origin: EVIL } }],
  },
  "421: a host that is not served": {
    run: async (client) => (await client.send("GET", "/host", { headers: { host: "evil.example" } })).status,
    answers: [421],
    events: [{ type: "host_header_rejected", level: "warning" }],
  },
  "traversal out of the folder of static files": {
    run: async (client) => (await client.send("GET", "/files/..%2f..%2F..%2Fboot.ini")).status,
    answers: [400, 403, 404],
    events: [{ type: "malicious_direct_reference", level: "warning", data: { reason: "traversal" } }],
  },
  "a probe for a file that scanners know": {
    run: async (client) => (await client.send("GET", "/.env")).status,
    answers: [403, 404],
    events: [{ type: "malicious_direct_reference", level: "warning", data: { reason: "probe" } }],
  },
  "a honeypot, which is answered as any unknown path": {
    options: { honeypots: ["/old/*"] },
    run: async (client) => (await client.send("GET", "/old/customers")).status,
    answers: [404],
    events: [{ type: "malicious_direct_reference", level: "warning", data: { reason: "honeypot" } }],
  },
  "a scanner's user agent, on a page that is served": {
    run: async (client) =>
      (
        await client.send("GET", "/api/orders/7", {
          headers: { "user-agent": "sqlmap/1.7.2#stable (https://sqlmap.org)" },
        })
      ).status,
    answers: [200],
    events: [
      {
        type: "malicious_attack_tool",
        level: "warning",
        route: "/api/orders/:id",
        data: { toolname: "sqlmap" },
      },
    ],
  },
  "404 again and again": {
    async run(client) {
      let status = 0;
      for (let page = 0; page < BURST; page++) ({ status } = await client.send("GET", `/wordlist/${page}`));
      return status;
    },
    answers: [404],
    events: [{ type: "malicious_excess_404", level: "warning", count: BURST }],
  },
  "an unexpected error": {
    run: async (client) => (await client.send("GET", "/broken")).status,
    answers: [500],
    events: [{ type: "sys_error", level: "error", route: "/broken" }],
  },
  "two causes in one request: a scanner with a forged token": {
    run: async (client) =>
      (await client.send("GET", "/private", { headers: { "user-agent": "Nuclei - Open-source project" } })).status,
    answers: [401],
    events: [{ type: "malicious_attack_tool", level: "warning", data: { toolname: "nuclei" } }],
  },
  "one cause that a handler records and the status repeats": {
    run: async (client) => (await client.send("POST", "/login", json({ username: "ada", password: "" }))).status,
    answers: [401],
    events: [{ type: "authn_login_fail", level: "warning", status: undefined, actor: CONTRACT.username }],
  },
});
