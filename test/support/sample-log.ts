/**
 * A week of a shop's log, for the console's tests and pictures: recorded and stored by the library itself, then dated back
 * before it is sealed, so that every event can be proven. The same each time, but for its ids.
 */
import { createSecurityLog, type SecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import type { TestDatabase } from "./postgres.ts";

const DAY_SECONDS = 86_400;

/** Texts that a terminal, a browser, a spreadsheet or a reader would obey (shared/reference/hostile-inputs.md). */
export const HOSTILE_TEXTS: readonly string[] = [
  "<script>document.title='owned'</script>",
  "<img src=x onerror=\"document.title='owned'\">",
  '"><svg onload=document.title="owned">',
  "javascript:document.title='owned'",
  "{{constructor.constructor('document.title=`owned`')()}}",
  "\u001b[2J\u001b]8;;http://evil.example\u0007click\u001b]8;;\u0007",
  "admin\u202egnp.exe",
  "zero\u200bwidth\u2060joiner\ufeff",
  "line one\r\nline two\nFAKE 2026-11-22 critical",
  '=HYPERLINK("http://evil.example","x")',
  "__proto__",
  "\u0430dmin",
  "Z\u0351\u036b\u0343a\u0334\u0319l\u0321g\u0321\u0328o\u0362".repeat(20),
  "\ud800 lone",
  "nul\u0000byte",
  "💥".repeat(60),
  `${"a".repeat(2_000)}`,
  "' OR 1=1; DROP TABLE security_event_log; --",
  `\${env:AWS_SECRET_ACCESS_KEY}`,
];

/** What a visitor does to the shop. */
interface Act {
  readonly type: string;
  readonly weight: number;
  readonly method?: string;
  readonly route?: string;
  readonly path?: (n: number) => string;
  readonly status?: number;
  readonly data?: (n: number) => object;
}

const ACTS: readonly Act[] = [
  { type: "authn_login_success", weight: 24, method: "POST", route: "/login", status: 303 },
  {
    type: "authn_login_fail",
    weight: 18,
    method: "POST",
    route: "/login",
    status: 401,
    data: () => ({ reason: "wrong password", statusCode: 401 }),
  },
  { type: "unauthenticated_request", weight: 12, method: "GET", route: "/account", status: 401 },
  {
    type: "authz_fail",
    weight: 9,
    method: "GET",
    route: "/admin/:page",
    path: (n) => `/admin/${["users", "orders", "export"][n % 3]}`,
    status: 403,
  },
  {
    type: "authz_fail",
    weight: 5,
    method: "GET",
    route: "/orders/:id",
    path: (n) => `/orders/${1_000 + (n % 400)}`,
    status: 404,
  },
  {
    type: "input_validation_fail",
    weight: 8,
    method: "POST",
    route: "/api/quotes",
    status: 400,
    data: () => ({ field: "product" }),
  },
  {
    type: "illegal_request_method",
    weight: 4,
    method: "DELETE",
    route: "/products/:slug",
    path: (n) => `/products/${["morning-mug", "single-stem", "tea-bowl"][n % 3]}`,
    status: 405,
  },
  {
    type: "excess_rate_limit_exceeded",
    weight: 6,
    method: "GET",
    route: "/api/vouchers/:code",
    path: (n) => `/api/vouchers/KILN-${1_000 + n}`,
    status: 429,
  },
  { type: "malicious_csrf", weight: 2, method: "POST", route: "/orders", status: 403 },
  { type: "webhook_signature_failure", weight: 3, method: "POST", route: "/webhooks/payments", status: 400 },
  { type: "session_created", weight: 10, method: "POST", route: "/login", status: 303 },
  { type: "session_expired", weight: 5 },
  { type: "authn_password_change", weight: 1, method: "POST", route: "/account/password", status: 303 },
  { type: "user_created", weight: 1, method: "POST", route: "/sign-up", status: 303 },
  { type: "sensitive_read", weight: 3, method: "GET", route: "/admin/:page", path: () => "/admin/export", status: 200 },
  {
    type: "privilege_permissions_changed",
    weight: 1,
    method: "POST",
    route: "/admin/:page",
    path: () => "/admin/users",
    status: 303,
  },
];

const ACTORS = ["ada", "grace", "alan", "barbara", "ida", "katherine", "donald", "margaret", "ken", "vera"];
const ADDRESSES = [
  "203.0.113.9",
  "203.0.113.77",
  "198.51.100.4",
  "198.51.100.23",
  "192.0.2.61",
  "2001:db8:a::17",
  "2001:db8:b::2",
];
const AGENTS = [
  "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
  "curl/8.14.1",
  "python-requests/2.32.4",
];

/** Options of {@link fillSampleLog}. */
export interface SampleLogOptions {
  /** @default 1500 */
  readonly events?: number;
  /** @default true */
  readonly hostile?: boolean;
}

/** Stores the events; seal them with `sealLog`. */
export async function fillSampleLog(database: TestDatabase, options: SampleLogOptions = {}): Promise<void> {
  const { events = 1_500, hostile = true } = options;
  const random = generator(7);
  for (const [service, share] of [
    ["shop", 0.7],
    ["accounts", 0.3],
  ] as const) {
    const log = openLog(database, service);
    const story: { readonly age: number; readonly record: () => void }[] = [];
    for (let n = 0; n < events * share; n++) {
      const act = pick(ACTS, random);
      story.push({ age: ageOf(random), record: () => recordAct(log, act, n, random) });
    }
    if (service === "accounts") story.push(...guessedPassword(log));
    if (hostile && service === "shop") story.push(...hostileTexts(log));
    story.sort((one, other) => other.age - one.age);
    for (const { record } of story) record();
    await log.flush();
    await dateBack(
      database,
      log.sourceId,
      story.map(({ age }) => age),
    );
    await log.close();
  }
}

function openLog(database: TestDatabase, service: string): SecurityLog {
  return createSecurityLog({
    service,
    spool: "memory",
    heartbeat: false,
    handlers: [postgresHandler({ url: database.writerUrl })],
  });
}

/** A burst that stands out: one address guesses the password of one account, and gets in. */
function guessedPassword(log: SecurityLog): { readonly age: number; readonly record: () => void }[] {
  const request = requestOf("POST", "/login", "45.155.205.233", "python-requests/2.32.4", "/login");
  const guesses = Array.from({ length: 79 }, (_, n) => ({
    age: 5_400 - n * 3,
    record: () =>
      void log.recordSecurityEvent("authn_login_fail", request, {
        actor: "grace",
        reason: "wrong password",
        statusCode: 401,
      }),
  }));
  const end = { actor: "grace", retries: 79, statusCode: 303 };
  return [
    ...guesses,
    { age: 5_160, record: () => void log.recordSecurityEvent("authn_login_successafterfail", request, end) },
  ];
}

/** Every column that a stranger writes, with each hostile text. */
function hostileTexts(log: SecurityLog): { readonly age: number; readonly record: () => void }[] {
  return HOSTILE_TEXTS.map((text) => ({
    age: 3_000,
    record: () =>
      void log.recordSecurityEvent("authz_fail", requestOf("GET", `/${text}`, "198.51.100.66", text), {
        actor: text,
        target: text,
        reason: text,
        [text]: text,
      }),
  }));
}

/** Records an event now, for a tail to show. */
export async function recordNow(database: TestDatabase, type: "authn_login_lock", actor: string): Promise<void> {
  const log = openLog(database, "shop");
  await log.recordSecurityEvent(type, requestOf("POST", "/login", "203.0.113.9", "curl/8.14.1"), { actor }).stored;
  await log.close();
}

function recordAct(log: SecurityLog, act: Act, n: number, random: () => number): void {
  const path = act.path?.(n) ?? act.route;
  const address = random() < 0.25 ? `203.0.113.${Math.floor(random() * 250) + 1}` : one(ADDRESSES, random);
  const request =
    path === undefined ? null : requestOf(act.method ?? "GET", path, address, one(AGENTS, random), act.route);
  const anonymous = act.type === "unauthenticated_request" || act.type === "webhook_signature_failure";
  log.recordSecurityEvent(act.type as "authz_fail", request, {
    ...(anonymous ? {} : { actor: one(ACTORS, random) }),
    ...(act.status === undefined ? {} : { statusCode: act.status }),
    ...act.data?.(n),
  });
}

/** By shape, as the library reads requests of any framework. */
function requestOf(method: string, url: string, remoteAddress: string, agent: string, route?: string): object {
  const headers = { host: "shop.example", "user-agent": agent };
  return {
    method,
    url,
    headers,
    socket: { remoteAddress },
    ...(route === undefined ? {} : { route: { path: route } }),
  };
}

/** Seconds ago: more by day than by night, and more of late. */
function ageOf(random: () => number): number {
  for (;;) {
    const age = Math.floor(random() ** 1.4 * 7 * DAY_SECONDS);
    const hour = 12 - ((age / 3_600) % 24);
    if (random() < 0.35 + 0.65 * Math.cos((hour / 12) * Math.PI) ** 2) return age + 30;
  }
}

/** Gives the events of a source times of the past, in the order of their numbers, and ids that begin with these. */
async function dateBack(database: TestDatabase, source: string, ages: readonly number[]): Promise<void> {
  await database.query("ALTER TABLE security_event_log DISABLE TRIGGER USER");
  await database.query(
    `WITH aged AS (
       SELECT seq, now() - make_interval(secs => ($2::float8[])[row_number() OVER (ORDER BY seq)]) AS at
       FROM security_event_log WHERE source_id = $1 AND event_type NOT LIKE 'log\\_%'
     )
     UPDATE security_event_log AS log SET occurred_at = aged.at, created_at = aged.at + interval '40 ms',
       id = (lpad(to_hex((extract(epoch FROM aged.at) * 1000)::bigint), 12, '0') || substr(replace(log.id::text, '-', ''), 13))::uuid
     FROM aged WHERE log.source_id = $1 AND log.seq = aged.seq AND aged.at IS NOT NULL`,
    [source, ages],
  );
  await database.query("ALTER TABLE security_event_log ENABLE TRIGGER USER");
}

function pick(acts: readonly Act[], random: () => number): Act {
  let rest = random() * acts.reduce((sum, { weight }) => sum + weight, 0);
  for (const act of acts) {
    rest -= act.weight;
    if (rest < 0) return act;
  }
  return acts[0] as Act;
}

function one<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() ** 1.7 * list.length)] as T;
}

/** Mulberry32: small, and the same on every machine. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
