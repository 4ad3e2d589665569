/** The contract's cases of input that cannot be read, or that does not fit. */
import { type CaptureCase, casesOf, HTTP1, json } from "./case.ts";
import { CONTRACT } from "./values.ts";

const INVALID = { type: "input_validation_fail", level: "warning" } as const;
/** A form with one file of more bytes than the application takes. */
const BOUNDARY = "contract-boundary";

export const INPUT_CASES: readonly CaptureCase[] = casesOf({
  "a body that is not JSON": {
    run: async (client) =>
      (await client.send("POST", "/orders", { headers: { "content-type": "application/json" }, body: '{"a":' })).status,
    answers: [400],
    events: [{ ...INVALID, data: { reason: true } }],
  },
  "413: a body that is too large": {
    run: async (client) =>
      (await client.send("POST", "/orders", json({ text: "x".repeat(5 * CONTRACT.limit) }))).status,
    answers: [413],
    events: [INVALID],
  },
  "415: a body of an unsupported type or encoding": {
    run: async (client) =>
      (
        await client.send("POST", "/orders", {
          headers: { "content-type": "application/x-contract; charset=x-contract", "content-encoding": "x-contract" },
          body: "text",
        })
      ).status,
    answers: [415],
    events: [INVALID],
  },
  "a path that cannot be decoded": {
    run: async (client) => (await client.send("GET", "/api/orders/%E0%A4%A")).status,
    // Next fails.
    answers: [400, 500],
    events: [INVALID],
  },
  "fields that a schema refuses, by name and never by value": {
    run: async (client) =>
      (await client.send("POST", "/validated", json({ email: "planted-value", age: "planted-value" }))).status,
    answers: [400, 422],
    events: [{ ...INVALID, data: { fields: ["age", "email"] } }],
  },
  "a file that the usual upload library refuses": {
    run: async (client) =>
      (
        await client.send("POST", "/upload", {
          headers: { "content-type": `multipart/form-data; boundary=${BOUNDARY}` },
          body: [
            `--${BOUNDARY}`,
            'Content-Disposition: form-data; name="avatar"; filename="a.png"',
            "Content-Type: image/png",
            "",
            "x".repeat(5 * CONTRACT.limit),
            `--${BOUNDARY}--`,
            "",
          ].join("\r\n"),
        })
      ).status,
    answers: [400, 413, 500],
    events: [{ ...INVALID, data: { reason: true } }],
  },
  "nothing for the application's own 400": {
    run: async (client) => (await client.send("POST", "/bare/400")).status,
    answers: [400],
    events: [],
  },
  "the application's own 400, with badRequest on": {
    options: { detect: { badRequest: true } },
    run: async (client) => (await client.send("POST", "/bare/400")).status,
    answers: [400],
    events: [INVALID],
  },
  "the application's own 422, with badRequest on": {
    options: { detect: { badRequest: true } },
    run: async (client) => (await client.send("POST", "/bare/422")).status,
    answers: [422],
    events: [INVALID],
  },
  "431: a header that is too large": {
    protocols: HTTP1,
    run: async (client) =>
      (await client.raw(`GET / HTTP/1.1\r\nHost: shop.example\r\nX-Large: ${"x".repeat(20_000)}\r\n\r\n`)).status,
    answers: [431],
    events: [{ ...INVALID, address: "peer" }],
  },
  "bytes that are not HTTP": {
    protocols: HTTP1,
    run: async (client) => (await client.raw("\x16\x03\x01\x02 not HTTP\r\n\r\n")).status,
    answers: [400],
    events: [{ ...INVALID, address: "peer" }],
  },
  "two lengths of one body, as for smuggling": {
    protocols: HTTP1,
    run: async (client) =>
      (
        await client.raw(
          "POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
      ).status,
    answers: [400],
    events: [{ ...INVALID, address: "peer" }],
  },
  "HTTP/1.1 without Host": {
    protocols: HTTP1,
    run: async (client) => (await client.raw("GET /api/orders/7 HTTP/1.1\r\nConnection: close\r\n\r\n")).status,
    answers: [400],
    events: [{ ...INVALID, address: "peer" }],
  },
  "417: an expectation that Node does not meet": {
    protocols: HTTP1,
    run: async (client) =>
      (
        await client.raw(
          `GET /api/orders/7 HTTP/1.1\r\nHost: shop.example\r\nExpect: miracles\r\nConnection: close\r\nX-Forwarded-For: ${CONTRACT.clientAddress}\r\n\r\n`,
        )
      ).status,
    answers: [417],
    events: [INVALID],
  },
});
