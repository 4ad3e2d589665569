/**
 * Visitors of the shop, for the console: a crowd at first, then one every few seconds. Most are harmless. One guesses
 * passwords, one looks for what other shops have left open, and one sends what a browser or a terminal would obey.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Browser } from "./demo-requests.ts";

/** How many come at first, so that there is something to look at. */
const CROWD = 300;
const PAUSE_MS = 2_000;

const BROWSERS = [
  "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
];
const NAMES = ["alan", "barbara", "donald", "ida", "katherine", "ken", "margaret", "tim"];
const HOSTILE = [
  "<script>alert(document.cookie)</script>",
  "javascript:alert(1)",
  '"><img src=x onerror=alert(1)>',
  "%1b%5b2J%1b]8;;http://evil.example",
  "admin%E2%80%AEgnp.exe",
  "' OR 1=1; DROP TABLE orders; --",
];

/** What a visitor does. */
type Visit = (n: number) => {
  readonly from: string;
  readonly agent: string;
  readonly act: (browser: Browser) => Promise<unknown>;
};

const VISITS: readonly Visit[] = [
  (n) => ({ ...person(n), act: (browser) => browser.get("/account") }),
  (n) => ({ ...person(n), act: (browser) => browser.get("/admin") }),
  (n) => ({ ...person(n), act: (browser) => browser.login(one(NAMES, n), "kiln") }),
  (n) => ({ ...person(n), act: (browser) => browser.get(`/orders/${1_000 + (n % 90)}`) }),
  (n) => ({ ...person(n), act: (browser) => browser.submit("/orders", { product: "morning-mug", pieces: "1" }) }),
  (n) => ({ ...program(n), act: (browser) => browser.send("POST", "/api/quotes", JSON_TYPE, '{"product": ') }),
  (n) => ({
    ...program(n),
    act: (browser) => browser.send("POST", "/api/quotes", { "content-type": "text/plain" }, "mug"),
  }),
  (n) => ({ ...program(n), act: (browser) => browser.send("POST", "/webhooks/payments", JSON_TYPE, "{}") }),
  (n) => ({
    ...program(n),
    act: async (browser) => {
      for (let code = 0; code < 5; code++) await browser.get(`/api/vouchers/KILN-${n}${code}`);
    },
  }),
  // Guesses one account's password.
  () => ({
    from: "45.155.205.233",
    agent: "python-requests/2.32.4",
    act: (browser) => browser.login("grace", "Summer2026!"),
  }),
  // Looks for what is not there, with methods that the shop does not have.
  (n) => ({
    from: "203.0.113.200",
    agent: "scanner/1.0",
    act: (browser) =>
      browser.send(one(["PUT", "DELETE", "PATCH"], n), `/products/${one(["morning-mug", ".env", "wp-login.php"], n)}`),
  }),
  (n) => ({
    from: "198.51.100.66",
    agent: decodeURIComponent(one(HOSTILE, n)).replace(/[^\x20-\x7e]/g, "?"),
    act: (browser) => browser.send("DELETE", `/products/${encodeURI(one(HOSTILE, n)).replace("%25", "%")}`),
  }),
];

const JSON_TYPE = { "content-type": "application/json" };

/** Lets them come until the signal aborts. Never rejects: a visitor whose request fails has left. */
export async function receiveVisitors(port: number, signal: AbortSignal): Promise<void> {
  const base = `http://127.0.0.1:${port}`;
  for (let n = 0; !signal.aborted; n++) {
    const { from, agent, act } = one(VISITS, Math.floor(n * 1.7))(n);
    const browser = new Browser(base, { "x-forwarded-for": from, "user-agent": agent });
    await act(browser).catch(() => {});
    if (n >= CROWD) await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
}

/** Addresses that documents may use (RFC 5737, RFC 3849). */
function person(n: number): { readonly from: string; readonly agent: string } {
  const from = n % 5 === 0 ? `2001:db8::${(n % 40).toString(16)}` : `198.51.100.${(n * 7) % 60}`;
  return { from, agent: one(BROWSERS, n) };
}

function program(n: number): { readonly from: string; readonly agent: string } {
  return { from: `192.0.2.${(n * 3) % 20}`, agent: one(["curl/8.14.1", "node"], n) };
}

function one<T>(list: readonly T[], n: number): T {
  return list[n % list.length] as T;
}
