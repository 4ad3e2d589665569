/** The requests that the demo sends to the shop, and the event that each must cause. */
import { createHmac, randomUUID } from "node:crypto";
import { connect } from "node:net";

/** An event that a request must cause, and the status that its client received. */
export interface Expected {
  readonly type: string;
  readonly statusCode: number;
}

/** One thing that a visitor or an attacker does to the shop. */
export interface DemoRequest {
  /** A few words, for the sentence that reports what is missing. */
  readonly what: string;
  readonly expects: readonly Expected[];
  /** Resolves to the status of the response that counts. */
  send(): Promise<number>;
}

/** The shop's `credentials.json`. */
export interface ShopCredentials {
  readonly passwords: { readonly [accountId: string]: string };
  readonly webhookSecret: string;
}

/**
 * A bad minute in a shop's life: one request for every kind of refusal that the capture detects, and the logins that
 * the shop records itself. The order matters: later requests use what earlier ones received.
 */
export function demoRequests(port: number, credentials: ShopCredentials): readonly DemoRequest[] {
  const base = `http://127.0.0.1:${port}`;
  const visitor = new Browser(base);
  const ada = new Browser(base);
  const grace = new Browser(base);
  let graceOrder = "/orders/1001";

  const one = (what: string, type: string, statusCode: number, send: () => Promise<number>): DemoRequest => ({
    what,
    expects: [{ type, statusCode }],
    send,
  });
  const quote = (contentType: string, body: string): Promise<number> =>
    visitor.send("POST", "/api/quotes", { "content-type": contentType }, body);

  return [
    one("a page for customers, without signing in", "unauthenticated_request", 401, () => visitor.get("/account")),
    one("a wrong password", "authn_login_fail", 401, () => ada.login("ada", "letmein")),
    one("the right password", "authn_login_success", 303, () => ada.login("ada", credentials.passwords["ada"] ?? "")),
    one("the admin area, as a customer", "authz_fail", 403, () => ada.get("/admin")),
    one("a form without its CSRF token", "malicious_csrf", 403, () =>
      ada.submit("/orders", { product: "morning-mug", pieces: "1" }),
    ),
    {
      what: "another customer's order",
      expects: [
        { type: "authn_login_success", statusCode: 303 },
        { type: "authz_fail", statusCode: 404 },
      ],
      send: async () => {
        await grace.login("grace", credentials.passwords["grace"] ?? "");
        const token = await grace.token("/products/morning-mug");
        await grace.submit("/orders", { _csrf: token, product: "morning-mug", pieces: "2" });
        graceOrder = grace.location;
        await visitor.pay(graceOrder, credentials.webhookSecret);
        return await ada.get(graceOrder);
      },
    },
    one("a method that the path does not have", "illegal_request_method", 404, () =>
      visitor.send("DELETE", "/products/morning-mug"),
    ),
    one("a method that HTTP does not have", "illegal_request_method", 400, () =>
      raw(port, "BREW /products/single-stem HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ),
    one("a webhook with a forged signature", "webhook_signature_failure", 400, () =>
      visitor.pay(graceOrder, `whsec_${Buffer.from("not the secret that was agreed").toString("base64")}`),
    ),
    one("a body that is not JSON", "input_validation_fail", 400, () => quote("application/json", '{"product": ')),
    one("a body that is too large", "input_validation_fail", 413, () =>
      quote("application/json", JSON.stringify({ product: "x".repeat(20_000) })),
    ),
    one("a body of the wrong type", "input_validation_fail", 415, () => quote("text/plain", "morning-mug")),
    one("headers that are too large", "input_validation_fail", 431, () =>
      raw(port, `GET /products/morning-mug HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: ${"x".repeat(20_000)}\r\n\r\n`),
    ),
    one("more vouchers guessed than the limit allows", "excess_rate_limit_exceeded", 429, async () => {
      let status = 0;
      for (let guess = 1; guess <= 10 && status !== 429; guess++) {
        status = await visitor.get(`/api/vouchers/KILN-000${guess}`);
      }
      return status;
    }),
  ];
}

/** As much of a browser as needed: it keeps cookies and does not follow redirects by itself. */
export class Browser {
  readonly #base: string;
  readonly #headers: { readonly [name: string]: string };
  readonly #cookies = new Map<string, string>();
  /** Where the last response redirected to. */
  location = "";
  #body = "";

  /** @param headers of every request */
  constructor(base: string, headers: { readonly [name: string]: string } = {}) {
    this.#base = base;
    this.#headers = headers;
  }

  async send(method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<number> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(this.#base + path, {
      method,
      headers: { "user-agent": "seclog-demo", ...(cookie === "" ? {} : { cookie }), ...this.#headers, ...headers },
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
      ...(body === undefined ? {} : { body }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) this.#cookies.set(name, value);
    }
    this.location = response.headers.get("location") ?? "";
    this.#body = await response.text();
    return response.status;
  }

  get(path: string): Promise<number> {
    return this.send("GET", path);
  }

  submit(path: string, fields: Record<string, string>): Promise<number> {
    const body = new URLSearchParams(fields).toString();
    return this.send("POST", path, { "content-type": "application/x-www-form-urlencoded" }, body);
  }

  /** The CSRF token in a page's form. */
  async token(path: string): Promise<string> {
    await this.get(path);
    return /name="_csrf" value="([^"]+)"/.exec(this.#body)?.[1] ?? "";
  }

  async login(name: string, password: string): Promise<number> {
    return await this.submit("/login", { _csrf: await this.token("/login"), name, password });
  }

  /** Sends what the payment provider would, signed as Standard Webhooks specifies. */
  async pay(order: string, secret: string): Promise<number> {
    const id = `msg_${randomUUID()}`;
    const timestamp = String(Math.floor(Date.now() / 1000));
    const body = JSON.stringify({ type: "payment.succeeded", order: Number(order.split("/").at(-1)) });
    const key = Buffer.from(secret.replace("whsec_", ""), "base64");
    const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
    return await this.send(
      "POST",
      "/webhooks/payments",
      {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": `v1,${signature}`,
      },
      body,
    );
  }
}

const ANSWER_DEADLINE_MS = 30_000;

/** Sends bytes that no HTTP client would, and reads the status of the response. */
async function raw(port: number, text: string): Promise<number> {
  return await new Promise((done, failed) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.setTimeout(ANSWER_DEADLINE_MS, () => socket.destroy(new Error("no answer")));
    socket.on("connect", () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
      if (status === undefined) return;
      socket.destroy();
      done(Number(status));
    });
    socket.on("error", failed);
    socket.on("close", () => failed(new Error("the connection was closed without a response")));
  });
}
