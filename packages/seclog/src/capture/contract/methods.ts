/** The contract's cases of methods: those that a path lacks, those that no path has, and those that are served. */
import { type CaptureCase, casesOf, HTTP1 } from "./case.ts";

const ORDER = { route: "/api/orders/:id", allowed: ["GET", "HEAD", "DELETE"] } as const;
const WRONG_METHOD = { type: "illegal_request_method", level: "warning" } as const;
const NO_SUCH = [404, 405, 501];

export const METHOD_CASES: readonly CaptureCase[] = casesOf({
  "a method that a path in a mounted router does not have": {
    run: async (client) => (await client.send("PATCH", "/api/orders/7?token=secret")).status,
    answers: NO_SUCH,
    events: [{ ...WRONG_METHOD, ...ORDER }],
  },
  "a method that a path of the application does not have": {
    run: async (client) => (await client.send("DELETE", "/login")).status,
    answers: NO_SUCH,
    events: [{ ...WRONG_METHOD, route: "/login", allowed: ["POST"] }],
  },
  TRACE: {
    run: async (client) => (await client.send("TRACE", "/api/orders/7")).status,
    // A Fetch Request cannot have this method, so making one fails.
    answers: [400, 500, ...NO_SUCH],
    events: [{ ...WRONG_METHOD, ...ORDER }],
  },
  "HEAD where a path only has POST": {
    run: async (client) => (await client.send("HEAD", "/orders")).status,
    answers: NO_SUCH,
    events: [{ ...WRONG_METHOD, route: "/orders", allowed: ["POST"] }],
  },
  "an unknown method that Node's parser refuses": {
    protocols: HTTP1,
    run: async (client) => (await client.raw("HACK /api/orders/7 HTTP/1.1\r\nHost: shop.example\r\n\r\n")).status,
    answers: [400],
    events: [{ ...WRONG_METHOD, address: "peer" }],
  },
  "an unknown method over HTTP/2": {
    protocols: ["http2"],
    run: async (client) => (await client.send("HACK", "/api/orders/7")).status,
    answers: NO_SUCH,
    events: [WRONG_METHOD],
  },
  "a method in lower case": {
    protocols: HTTP1,
    run: async (client) => (await client.raw("get /api/orders/7 HTTP/1.1\r\nHost: shop.example\r\n\r\n")).status,
    answers: [400],
    events: [{ ...WRONG_METHOD, address: "peer" }],
  },
  "CONNECT, as to an open proxy": {
    protocols: HTTP1,
    run: async (client) =>
      (await client.raw("CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example:25\r\n\r\n")).status,
    answers: [0],
    events: [{ ...WRONG_METHOD, status: undefined, address: "peer" }],
  },
  "nothing for what is served: GET, HEAD, DELETE and POST": {
    async run(client) {
      const statuses = [
        await client.send("GET", "/api/orders/7"),
        await client.send("HEAD", "/api/orders/7"),
        await client.send("DELETE", "/api/orders/7"),
        await client.send("POST", "/orders", { headers: { "content-type": "application/json" }, body: "{}" }),
      ].map(({ status }) => status);
      return Math.max(...statuses);
    },
    answers: [200, 201, 204],
    events: [],
  },
  "nothing for a preflight and for one unknown path": {
    async run(client) {
      await client.send("OPTIONS", "/api/orders/7");
      return (await client.send("GET", "/no/such/page")).status;
    },
    answers: [404],
    events: [],
  },
});
