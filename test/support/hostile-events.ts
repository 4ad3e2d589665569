/** Events for the tests of formats: one with every member, and each type of the catalogue with data that a stranger chose. */
import { CATALOGUE } from "../../packages/seclog/src/event/catalogue.ts";
import type { SecurityEvent } from "../../packages/seclog/src/event/event.ts";
import { memoryLog } from "../../packages/seclog/src/testing/memory-log.ts";

/** Every member of an event, with texts that some format would obey. */
export const FULL_EVENT: SecurityEvent = {
  v: 1,
  id: "019aad2f-1b2c-7000-8000-000000000001",
  occurredAt: "2026-11-22T19:43:22.123456Z",
  sourceId: "019aad2f-0000-7000-8000-000000000001",
  epoch: 2,
  seq: 7,
  type: "malicious_sqli",
  level: "critical",
  category: "malicious",
  outcome: "unknown",
  logger: "security",
  service: "shop-api",
  environment: "production",
  host: "web-1",
  method: "_OTHER",
  methodOriginal: "BREW",
  route: "/products/:id",
  statusCode: 405,
  allowedMethods: "GET, HEAD",
  count: 3,
  startedAt: "2026-11-22T19:43:20.000001Z",
  endedAt: "2026-11-22T19:43:22.123456Z",
  actorId: "=cmd|' /C calc'!A0",
  actorType: "user",
  targetId: "order\\8",
  targetType: "order",
  ipAddress: "2001:db8::9",
  ipSource: "x-forwarded-for",
  ipChain: "2001:db8::9, 10.0.0.1",
  path: "/a|b=c \u001b[2J\r\nFAKE^\t",
  requestHost: "shop.example:8443",
  requestId: "req-1",
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  userAgent: 'curl/8, "quoted" ] \u202eevil 日本 🙂',
  data: { parameter: "q,1", ruleid: "942100", list: [1, -2.5, true, null, "x"], nested: { deep: { a: 1e21 } } },
  notes: { flags: ["odd"], truncated: { path: 9_000 } },
};

/** The least that an event has. */
export const BARE_EVENT: SecurityEvent = {
  v: 1,
  id: "019aad2f-1b2c-7000-8000-000000000002",
  occurredAt: "2026-11-22T19:43:23.000000Z",
  sourceId: "019aad2f-0000-7000-8000-000000000001",
  epoch: 2,
  seq: 8,
  type: "shop.coupon_guessed",
  level: "info",
  category: "custom",
  outcome: "success",
  logger: "security",
};

const cyclic: { self?: unknown } = {};
cyclic.self = cyclic;
let deep: unknown = "end";
for (let level = 0; level < 60; level++) deep = { deep };

/** What a request, or a careless caller, may put into an event. */
const HOSTILE: readonly unknown[] = [
  "\0",
  "\ud800 lone",
  "line\r\nFAKE",
  "\u001b]8;;http://evil\u0007",
  "\u202egnp.exe\u200b",
  "<script>alert(1)</script>",
  "=cmd|' /C calc'!A0",
  { ["__proto__"]: { polluted: true }, constructor: 1 },
  cyclic,
  new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error("trap");
      },
    },
  ),
  [1n, Symbol("s"), () => 1, Number.NaN, Number.POSITIVE_INFINITY, -0, undefined],
  [new Date(Number.NaN), new Map([["a", 1]]), new Set([1]), Buffer.from([0, 255]), new Error("e")],
  deep,
  "x".repeat(200_000),
  9007199254740993n,
  1e300,
  { "a.b": 1, "": 2, "a|b=c^\t": "|=^\t", "]": '"\\]' },
  ["a,b", "c:d", "[e]", "\\"],
  { userid: { nested: true }, reason: ["no", "text"], object: { a: 1 }, filename: null },
  "日本 🙂 \u{10ffff}",
];

/** Each type of the catalogue with each hostile value as its data, as the real log records them. */
export async function hostileEvents(): Promise<readonly SecurityEvent[]> {
  const log = memoryLog({ service: "shop", environment: "test" });
  const clients = [undefined, "203.0.113.9", "2001:db8::9", "::ffff:192.0.2.1", "not an address"].map(
    (remoteAddress) =>
      remoteAddress === undefined
        ? undefined
        : {
            method: remoteAddress.includes(":") ? "BREW" : "POST",
            url: "/a%0d%0a|b?token=1",
            headers: { host: "evil\r\nhost:80", "user-agent": "x|y=z]", "x-request-id": "r-1" },
            socket: { remoteAddress },
          },
  );
  const requests: readonly object[] = [
    {},
    { actor: { id: "ada", type: "admin" }, target: { id: "8", type: "order" }, statusCode: 403, route: "/x/:id" },
    { actor: '\r\n|=]"\\', count: 4, startedAt: new Date(Date.now() - 1000), endedAt: new Date() },
  ];
  let turn = 0;
  for (const type of Object.keys(CATALOGUE) as (keyof typeof CATALOGUE)[]) {
    for (const value of HOSTILE) {
      const names = [
        "userid",
        "reason",
        "object",
        "file",
        "filename",
        "resource",
        "ruleid",
        "tokenid",
        "to",
        "validator",
      ];
      const members = Object.fromEntries(names.map((name) => [name, value]));
      const facts = requests[turn % requests.length];
      const client = clients[turn++ % clients.length];
      log.recordSecurityEvent(type, client, { ...members, value, ...facts } as object);
    }
  }
  const recorded = await log.events();
  await log.close();
  // The log's own events are not collected there, so the others lend them their data.
  const own = Object.entries(CATALOGUE).filter(([, { category }]) => category === "log");
  const lent = own.flatMap(([type, { level, category, outcome }]) =>
    recorded.slice(0, HOSTILE.length).map((event) => ({ ...event, type, level, category, outcome })),
  );
  return [...recorded, ...lent];
}
