/**
 * The sender of a request, as authentication leaves it there: `request.user` (Passport, Fastify's JWT and session
 * plugins, Nest), `request.auth` (express-jwt, express-oauth2-jwt-bearer, express-basic-auth, Clerk),
 * `request.oidc.user` (express-openid-connect), `request.session.passport.user` (Passport before it has run),
 * `ctx.state.user` (Koa), `c.var.user` and `c.var.jwtPayload` (Hono). It is read when an event is recorded, so
 * authentication may run at any time before. If an application keeps the sender elsewhere, its `actor` option returns
 * it.
 */
import type { NoteTaker } from "../event/text.ts";
import type { RequestSubject } from "./addressed-request.ts";
import type { RequestContext } from "./context.ts";

/** The members that hold an id, the best first. */
const MEMBERS: readonly string[] = [
  ...["id", "sub", "_id", "userId", "userID", "user_id", "uid", "uuid"],
  // Microsoft's account id, where the subject is an e-mail address.
  ...["oid", "username", "user"],
];

type Unknown = { readonly [name: string]: unknown } & {
  readonly [K in "user" | "auth" | "oidc" | "state" | "var"]?: unknown;
};

/**
 * The sender of a request: from `setActor`, else from the capture's `actor` option, else what authentication left
 * on the request. `undefined` or `null` if none; the option may return anything. Never throws.
 */
export function senderOf(
  subject: RequestSubject | undefined,
  context: RequestContext | undefined,
  notes: NoteTaker,
): unknown {
  if (context?.actor !== undefined) return context.actor;
  if (subject === undefined) return undefined;
  const { request, causes } = subject;
  if (causes?.actor === undefined) return authenticated(request);
  try {
    return causes.actor(request);
  } catch {
    notes.flag("actor could not be read");
    return undefined;
  }
}

/** The id of a user object; an e-mail address only if nothing else is found. Never throws. */
export function userId(user: unknown): string | number | bigint | undefined {
  return firstId([user]);
}

/** The authenticated user's id; an e-mail address only if nothing else is found. Never throws. */
function authenticated(request: object): string | number | bigint | undefined {
  // Most requests of most applications have none of them, and every event passes here.
  if (isAnonymous(request as Unknown)) return undefined;
  const user = member(request, "user");
  const auth = member(request, "auth");
  const state = member(request, "state");
  const variables = member(request, "var");
  const holders = [
    user,
    // A string would be a token.
    typeof auth === "object" ? auth : undefined,
    member(auth, "payload"),
    // Clerk's is a function with members.
    typeof auth === "function" ? ownValue(auth, "userId") : undefined,
    member(member(request, "oidc"), "user"),
    member(member(ownValue(request, "session"), "passport"), "user"),
    member(state, "user"),
    member(variables, "user"),
    member(variables, "jwtPayload"),
  ];
  return firstId(holders);
}

function firstId(holders: readonly unknown[]): string | number | bigint | undefined {
  let email: string | undefined;
  for (const holder of holders) {
    for (const id of idsOf(holder)) {
      if (typeof id !== "string" || !isEmail(id)) return id;
      email ??= id;
    }
    const address = member(holder, "email");
    if (typeof address === "string" && isEmail(address)) email ??= address;
  }
  return email;
}

function isAnonymous(request: Unknown): boolean {
  try {
    const left = request.user ?? request.auth ?? request.state ?? request.var ?? request.oidc ?? undefined;
    return left === undefined && !("session" in request);
  } catch {
    return false;
  }
}

function idsOf(holder: unknown): readonly (string | number | bigint)[] {
  return [holder, ...MEMBERS.map((name) => member(holder, name))].map(idOf).filter((id) => id !== undefined);
}

/** A member of an object; `undefined` if absent, or if reading it throws. */
function member(holder: unknown, name: string): unknown {
  if (typeof holder !== "object" || holder === null) return undefined;
  try {
    return (holder as Unknown)[name];
  } catch {
    return undefined;
  }
}

/**
 * A member that is a plain value. Getters do not run: one that opens a session may make the response set a cookie
 * (koa-session, cookie-session), and Clerk's warn.
 */
function ownValue(holder: object, name: string): unknown {
  try {
    return Object.getOwnPropertyDescriptor(holder, name)?.value;
  } catch {
    return undefined;
  }
}

function idOf(value: unknown): string | number | bigint | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "bigint") return value;
  const hex = member(value, "toHexString");
  if (typeof hex !== "function") return undefined;
  try {
    // MongoDB's ObjectId and UUID.
    const text: unknown = Reflect.apply(hex, value, []);
    return typeof text === "string" && text !== "" ? text : undefined;
  } catch {
    return undefined;
  }
}

function isEmail(text: string): boolean {
  return text.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(text);
}
