/** What the answers of better-auth's endpoints mean. The paths are those of its own plugins, below the base path. */
import type { CatalogueData } from "../../event/catalogue.ts";
import { accountName } from "../account-name.ts";

type Fields = { readonly [name: string]: unknown };

/** A request to better-auth, and the answer. */
export interface AuthExchange {
  /** Below the base path: `/sign-in/email`. */
  readonly path: string;
  readonly method: string;
  readonly status: number;
  readonly origin: string | null;
  /** The members of the request's body. */
  readonly fields: Fields | undefined;
  /** The members of the answer's body. */
  readonly answer: Fields | undefined;
  /** Where the answer redirects to. */
  readonly location: string | null;
  /** The token of the session that the request came with, and of the one that the answer began. */
  readonly token: string | undefined;
  readonly newToken: string | undefined;
  /** Who was signed in when the request came. */
  readonly user: string | undefined;
  /** Who is signed in now. */
  readonly newUser: string | undefined;
}

/** An event that follows. */
export interface AuthEvent {
  readonly type: keyof CatalogueData;
  readonly data: Fields;
}

type Judge = (exchange: AuthExchange) => readonly AuthEvent[];

/** Requests by which a user, or an attacker, logs in. */
const LOGIN =
  /^\/(?:sign-in\/(?:email|username|phone-number|email-otp|anonymous|social|passkey)|(?:oauth2\/)?callback\/[^/]+|magic-link\/verify|siwe\/verify|one-tap\/callback|phone-number\/verify|one-time-token\/verify|passkey\/verify-authentication|two-factor\/verify-(?:totp|otp|backup-code))$/;

/** Requests of which the answer does not say who sent them. */
const SIGNED_IN =
  /^\/(?:sign-out|change-password|change-email|update-user|delete-user|revoke-|link-social|unlink-account|two-factor\/|admin\/)/;

/** Whether the sender of a request must be looked up before it is answered: afterwards, the session may be gone. */
export function needsUser(path: string): boolean {
  return SIGNED_IN.test(path);
}

/** Whether the body of a request has something to record. */
export function needsFields(path: string): boolean {
  return LOGIN.test(path) || SIGNED_IN.test(path);
}

/** The events that an exchange leaves. */
export function judgeAuth(exchange: AuthExchange): readonly AuthEvent[] {
  const { path, status } = exchange;
  if (status >= 500) return [];
  const refusal = refused(exchange);
  if (refusal !== undefined) return [refusal];
  if (LOGIN.test(path)) return judgeLogin(exchange);
  const judge = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : path.startsWith("/admin/") ? admin : undefined;
  return judge?.(exchange) ?? [];
}

/** What better-auth refuses before it looks at the request's purpose. */
function refused({ status, answer, origin }: AuthExchange): AuthEvent | undefined {
  if (status === 429) return { type: "excess_rate_limit_exceeded", data: {} };
  if (status !== 403) return undefined;
  const code = String(answer?.["code"]);
  switch (code) {
    case "INVALID_ORIGIN":
    case "MISSING_OR_NULL_ORIGIN":
      return { type: "origin_rejected", data: { reason: code, ...(origin !== null && { origin }) } };
    case "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED":
      return { type: "malicious_csrf", data: { reason: code } };
    case "INVALID_CALLBACK_URL":
    case "INVALID_REDIRECT_URL":
    case "INVALID_ERROR_CALLBACK_URL":
    case "INVALID_NEW_USER_CALLBACK_URL":
      // A warning, since one request of a stranger is enough.
      return { type: "malicious_extraneous", data: { level: "warning", inputname: "callbackURL", reason: code } };
    default:
      return undefined;
  }
}

function judgeLogin(exchange: AuthExchange): readonly AuthEvent[] {
  const { path, fields, answer, newToken, user } = exchange;
  const method = path.replace(/^\//, "").replace(/^(?:oauth2\/)?callback\//, "oauth/");
  if (user !== undefined && path.startsWith("/two-factor/")) {
    // A user who is signed in turns the second factor on.
    return failed(exchange) ? [] : [updated(exchange, ["twoFactorEnabled"])];
  }
  const name = accountName(fields);
  if (failed(exchange)) {
    const userid = name === undefined ? {} : { userid: name };
    return [{ type: "authn_login_fail", data: { ...userid, method, reason: reasonOf(exchange) } }];
  }
  // Without a session there is a second step to come: another factor, or the way to the provider.
  if (newToken === undefined) return [];
  const actor = idIn(answer) ?? exchange.newUser ?? name;
  const who = actor === undefined ? {} : { actor };
  return [
    { type: "authn_login_success", data: { ...who, method, ...(name !== undefined && { username: name }) } },
    { type: "session_created", data: { ...who, sessionid: newToken } },
  ];
}

const ENDPOINTS: { readonly [path: string]: Judge } = {
  "/sign-up/email": (exchange) => {
    const { newToken, answer } = exchange;
    const id = idIn(answer);
    if (failed(exchange) || id === undefined) return [];
    const created: AuthEvent = { type: "user_created", data: { actor: id, newuserid: id } };
    return newToken === undefined
      ? [created]
      : [created, { type: "session_created", data: { actor: id, sessionid: newToken } }];
  },
  "/sign-out": (exchange) => {
    if (failed(exchange) || exchange.user === undefined) return [];
    return [{ type: "session_logout", data: { ...by(exchange), ...sessionOf(exchange) } }];
  },
  "/revoke-session": revoked,
  "/revoke-sessions": revoked,
  "/revoke-other-sessions": revoked,
  "/change-password": (exchange) => {
    // A stranger is refused by the status, which capture sees.
    if (exchange.user === undefined) return [];
    return [
      failed(exchange)
        ? { type: "authn_password_change_fail", data: { ...by(exchange), reason: reasonOf(exchange) } }
        : { type: "authn_password_change", data: by(exchange) },
    ];
  },
  "/reset-password": reset,
  "/email-otp/reset-password": reset,
  "/phone-number/reset-password": reset,
  "/two-factor/enable": (exchange) => secondFactor(exchange, "enable"),
  "/two-factor/disable": (exchange) => secondFactor(exchange, "disable"),
  "/two-factor/generate-backup-codes": (exchange) => change(exchange, ["backupCodes"]),
  "/update-user": (exchange) => change(exchange, Object.keys(exchange.fields ?? {}).slice(0, 20)),
  "/change-email": (exchange) => change(exchange, ["email"]),
  "/link-social": (exchange) => change(exchange, ["accounts"]),
  "/unlink-account": (exchange) => change(exchange, ["accounts"]),
  "/delete-user": (exchange) => {
    const { user, answer } = exchange;
    // Where better-auth first sends a mail, nothing is deleted yet.
    if (failed(exchange) || user === undefined || answer?.["message"] !== "User deleted") return [];
    return [{ type: "user_deleted", data: { actor: user, onuserid: user } }];
  },
};

function revoked(exchange: AuthExchange): readonly AuthEvent[] {
  if (failed(exchange) || exchange.user === undefined) return [];
  return [{ type: "session_expired", data: { ...by(exchange), reason: "revoked", scope: exchange.path.slice(1) } }];
}

/** A password that is set with a token from a mail. A stranger may try tokens, so failing is a warning only. */
function reset(exchange: AuthExchange): readonly AuthEvent[] {
  if (exchange.method !== "POST") return [];
  return [
    failed(exchange)
      ? { type: "authn_password_change_fail", data: { level: "warning", reason: reasonOf(exchange) } }
      : { type: "authn_password_change", data: { reason: "reset" } },
  ];
}

function secondFactor(exchange: AuthExchange, step: "enable" | "disable"): readonly AuthEvent[] {
  if (exchange.user === undefined) return [];
  if (!failed(exchange)) return step === "disable" ? [updated(exchange, ["twoFactorEnabled"], "disabled")] : [];
  return [
    { type: "authn_login_fail", data: { ...by(exchange), method: `two-factor/${step}`, reason: reasonOf(exchange) } },
  ];
}

function change(exchange: AuthExchange, attributes: readonly string[]): readonly AuthEvent[] {
  return failed(exchange) || exchange.user === undefined ? [] : [updated(exchange, attributes)];
}

function updated(exchange: AuthExchange, attributes: readonly string[], to?: string): AuthEvent {
  const { user } = exchange;
  return {
    type: "user_updated",
    data: { ...by(exchange), onuserid: user, attributes, ...(to !== undefined && { to }) },
  };
}

/** The admin plugin. Reading is not an event. */
function admin(exchange: AuthExchange): readonly AuthEvent[] {
  const { path, status, user, method, fields, answer } = exchange;
  const resource = path.slice(1);
  if (status === 403) return user === undefined ? [] : [{ type: "authz_fail", data: { ...by(exchange), resource } }];
  if (failed(exchange) || user === undefined || method !== "POST") return [];
  const on = { ...by(exchange), onuserid: String(fields?.["userId"] ?? "") };
  switch (path) {
    case "/admin/create-user":
      return [{ type: "user_created", data: { ...by(exchange), newuserid: idIn(answer) } }];
    case "/admin/remove-user":
      return [{ type: "user_deleted", data: on }];
    case "/admin/ban-user":
      return [{ type: "user_archived", data: on }];
    case "/admin/set-role":
      return [{ type: "authz_change", data: { ...on, to: String(fields?.["role"] ?? "") } }];
    default:
      return [{ type: "authz_admin", data: { ...on, event: resource } }];
  }
}

function failed({ status, location }: AuthExchange): boolean {
  return status >= 400 || (location !== null && /[?&]error=/.test(location));
}

/** better-auth's code: `INVALID_EMAIL_OR_PASSWORD`, or the error in the address of a redirect. */
function reasonOf({ answer, location, status }: AuthExchange): string {
  const code = answer?.["code"];
  if (typeof code === "string") return code.slice(0, 100);
  return /[?&]error=([\w.-]{1,100})/.exec(location ?? "")?.[1] ?? String(status);
}

function by({ user }: AuthExchange): Fields {
  return user === undefined ? {} : { actor: user };
}

function sessionOf({ token }: AuthExchange): Fields {
  return token === undefined ? {} : { sessionid: token };
}

function idIn(answer: Fields | undefined): string | undefined {
  const { id } = Object(answer?.["user"]) as Fields;
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}
