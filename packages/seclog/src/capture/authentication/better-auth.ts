import { currentRequest } from "../../record/context.ts";
import { clearTimeout, setTimeout } from "../../runtime/timers.ts";
import { fetchText, fieldsIn } from "../bounded-body.ts";
import { Capture } from "../capture.ts";
import type { Detector } from "../detectors.ts";
import type { OutcomeLog } from "../outcomes.ts";
import { type AuthExchange, judgeAuth, needsFields, needsUser } from "./better-auth-endpoints.ts";

export type { OutcomeLog } from "../outcomes.ts";

/** What `betterAuth(…)` returned, by the parts that are used here. */
export interface BetterAuthShape {
  handler: (request: Request) => Promise<Response>;
  readonly options: object;
  readonly api: object;
}

/** What anyone can cause again and again, as capture detects it: of equal ones, most become one with a count. */
const FLOODABLE: ReadonlyMap<string, Detector> = new Map<string, Detector>([
  ["authn_login_fail", "loginFail"],
  ["excess_rate_limit_exceeded", "rateLimit"],
  ["origin_rejected", "origin"],
  ["malicious_csrf", "csrf"],
]);

type Fields = { readonly [name: string]: unknown };

/** Longer than any body that better-auth's endpoints take. */
const LONGEST_BODY = 65_536;

/** How long to wait for the rest of a body that better-auth has answered without. */
const BODY_MS = 1_000;

/**
 * Records what better-auth's endpoints do and refuse: logins and their failures, with the name and the reason, also by a
 * provider and with a second factor; sessions that begin and end, changes of passwords and accounts, what administrators
 * do, and the rate limit and foreign origins that better-auth refuses before its own hooks run.
 *
 * ```ts
 * export const auth = recordAuth(security, betterAuth({ … }));
 * ```
 *
 * It replaces `auth.handler`, so it sees requests, and not your own calls of `auth.api`. A capture of the framework in
 * front of it supplies the address; without one, events have none.
 */
export function recordAuth<Auth extends BetterAuthShape>(log: OutcomeLog, auth: Auth): Auth {
  const { handler } = auth;
  const capture = new Capture(log);
  const wrapped = async (request: Request): Promise<Response> => {
    let path: string;
    try {
      path = pathBelow(request.url, basePathOf(auth));
    } catch {
      return await handler.call(auth, request);
    }
    const fields = needsFields(path) ? bodyFields(request) : undefined;
    const user = needsUser(path) ? await userOf(auth, request.headers) : undefined;
    const response = await handler.call(auth, request);
    const exchange = await exchangeOf(auth, path, request, response, user, fields);
    for (const { type, data } of judgeAuth(exchange)) {
      const facts = { ...data, statusCode: response.status };
      const subject = currentRequest() ?? request;
      const detector = FLOODABLE.get(type);
      if (detector !== undefined) {
        capture.record(detector, subject, facts);
        continue;
      }
      // Throws only for an event that must be on disk before it counts (durability "strict"): the client gets no answer.
      log.recordSecurityEvent(type, subject, facts);
    }
    return response;
  };
  auth.handler = wrapped;
  if ("fetch" in auth) (auth as { fetch: unknown }).fetch = wrapped;
  return auth;
}

function basePathOf({ options }: BetterAuthShape): string {
  const { basePath } = options as { readonly basePath?: string | undefined };
  return basePath ?? "/api/auth";
}

function pathBelow(url: string, basePath: string): string {
  const { pathname } = new URL(url);
  const base = basePath.replace(/\/+$/, "");
  const path = pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : pathname;
  return path.replace(/(?<=.)\/+$/, "");
}

/** Reads a copy of the body while better-auth reads the body itself. */
function bodyFields(request: Request): Promise<Fields | undefined> {
  try {
    const type = request.headers.get("content-type");
    return fetchText(request.clone().body, LONGEST_BODY).then((text) =>
      text === undefined ? undefined : fieldsIn(text, type),
    );
  } catch {
    // A body that was read before: better-auth cannot read it either.
    return Promise.resolve(undefined);
  }
}

async function exchangeOf(
  auth: BetterAuthShape,
  path: string,
  request: Request,
  response: Response,
  user: string | undefined,
  body: Promise<Fields | undefined> | undefined,
): Promise<AuthExchange> {
  const { status, headers } = response;
  const setCookies = headers.getSetCookie();
  const newToken = tokenIn(setCookies.map((cookie) => /^[^;]*/.exec(cookie)?.[0] ?? ""));
  const json = headers.get("content-type")?.includes("json") === true;
  const text = json ? await fetchText(response.clone().body, LONGEST_BODY) : undefined;
  const answer = text === undefined ? undefined : fieldsIn(text, "application/json");
  const redirected = newToken !== undefined && answer === undefined;
  return {
    path,
    method: request.method,
    status,
    origin: request.headers.get("origin"),
    fields: body && (await within(body)),
    answer,
    location: headers.get("location"),
    token: tokenIn((request.headers.get("cookie") ?? "").split(/;\s*/)),
    newToken,
    user,
    // A redirect says nothing of the user that it signed in.
    newUser: redirected ? await userOf(auth, new Headers({ cookie: cookiesOf(setCookies) })) : undefined,
  };
}

async function within(body: Promise<Fields | undefined>): Promise<Fields | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), BODY_MS);
  });
  try {
    return await Promise.race([body, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The session's token, without its signature. */
function tokenIn(cookies: readonly string[]): string | undefined {
  for (const cookie of cookies) {
    const token = /session_token=([^.;%]+)/.exec(cookie)?.[1];
    if (token !== undefined) return token;
  }
  return undefined;
}

function cookiesOf(setCookies: readonly string[]): string {
  return setCookies.map((cookie) => /^[^;]*/.exec(cookie)?.[0] ?? "").join("; ");
}

/** Who a request's cookies belong to. Never rejects. */
async function userOf(auth: BetterAuthShape, headers: Headers): Promise<string | undefined> {
  const { getSession } = auth.api as {
    readonly getSession?: (options: { readonly headers: Headers }) => Promise<{ readonly user?: Fields } | null>;
  };
  if (typeof getSession !== "function") return undefined;
  if (!headers.has("cookie") && !headers.has("authorization")) return undefined;
  try {
    const id = (await getSession({ headers }))?.user?.["id"];
    return id === undefined ? undefined : String(id);
  } catch {
    return undefined;
  }
}
