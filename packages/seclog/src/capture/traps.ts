/**
 * What the application tells capture to look for: the path of its login, paths and fields that no honest client uses,
 * and redirects to where the client says.
 */
import { configError } from "../event/options.ts";
import { hasCause } from "../record/causes.ts";
import { pathOfTarget } from "../record/stored-text.ts";
import { accountName } from "./account-name.ts";
import type { Answered, Finding } from "./answered.ts";

/** Options of every capture. */
export interface TrapOptions {
  /**
   * The paths to which the login form is sent, such as `"/login"`. How a POST is answered says how the login ended: it
   * failed if the answer is 400, 401, 403 or 422, the form again, or a redirect back to it; it succeeded if the answer is
   * a redirect elsewhere, or neither an error nor HTML. The account's name is read from the parsed body.
   * @default none: the application calls `recordLogin`
   */
  readonly loginPath?: string | readonly string[] | undefined;
  /**
   * Paths that no honest client requests, such as one that only `robots.txt` names; `/old/*` means all below it. A request
   * is recorded as `malicious_direct_reference`, whatever the application answers.
   * @default none
   */
  readonly honeypots?: readonly string[] | undefined;
  /**
   * Fields that a person leaves empty since the page hides them. A request that fills one is recorded as
   * `malicious_extraneous`.
   * @default none
   */
  readonly honeypotFields?: readonly string[] | undefined;
  /** Hosts to which a redirect may lead with the client's own address: of the detector `openRedirect`. @default none */
  readonly redirectHosts?: readonly string[] | undefined;
}

/** The names of {@link TrapOptions}. */
export const TRAP_OPTIONS: readonly (keyof TrapOptions)[] = [
  "loginPath",
  "honeypots",
  "honeypotFields",
  "redirectHosts",
];

const FAILED_STATUS: ReadonlySet<number> = new Set([400, 401, 403, 422]);

/** A redirect that says itself that the login failed. */
const SAYS_FAILED = /[?&#/](?:error|err|fail|failed|failure|invalid|denied|incorrect)(?:[=&/_-]|$)/i;
/** A page with a login form, wherever the form is sent to. */
const LOGIN_PAGE = /(?:log|sign)[-_]?(?:in|on)|auth|session/i;

/** The traps of one capture. */
export class Traps {
  readonly #logins: readonly string[];
  readonly #honeypots: readonly string[];
  readonly #fields: readonly string[];
  readonly #redirects: ReadonlySet<string> | undefined;

  private constructor(
    logins: readonly string[],
    honeypots: readonly string[],
    fields: readonly string[],
    redirects: ReadonlySet<string> | undefined,
  ) {
    this.#logins = logins;
    this.#honeypots = honeypots;
    this.#fields = fields;
    this.#redirects = redirects;
  }

  /**
   * The traps that the options set; `undefined` if they set none.
   *
   * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
   */
  static of(options: TrapOptions, openRedirect: boolean): Traps | undefined {
    const { loginPath } = options;
    const logins = paths("loginPath", typeof loginPath === "string" ? [loginPath] : loginPath);
    const honeypots = paths("honeypots", options.honeypots);
    const fields = texts("honeypotFields", options.honeypotFields);
    const hosts = new Set(texts("redirectHosts", options.redirectHosts).map((host) => host.toLowerCase()));
    if (logins.length + honeypots.length + fields.length === 0 && !openRedirect) return undefined;
    return new Traps(logins, honeypots, fields, openRedirect ? hosts : undefined);
  }

  /** Whether a request must be judged although the application refused nothing. Called for every request. */
  concern(method: string, target: string, statusCode: number): boolean {
    if (this.#redirects !== undefined && isRedirect(statusCode)) return true;
    if (this.#fields.length > 0 && (method !== "GET" || target.includes("?"))) return true;
    if (this.#logins.length > 0 && method === "POST" && this.#logins.includes(pathOf(target))) return true;
    return this.#honeypots.length > 0 && this.#isHoneypot(target);
  }

  /** What the request shows by itself, or its redirect. May throw for a hostile one. */
  findings(answered: Answered): readonly Finding[] {
    const { statusCode, target, detects } = answered;
    const findings: Finding[] = [];
    if (detects("honeypot") && this.#isHoneypot(target)) {
      findings.push({ detector: "honeypot", facts: { reason: "honeypot", statusCode }, byError: true });
    }
    const inputname = detects("honeypotField") ? this.#filledField(answered) : undefined;
    if (inputname !== undefined) {
      findings.push({ detector: "honeypotField", facts: { inputname, reason: "honeypot", statusCode }, byError: true });
    }
    const redirect = this.#redirects === undefined ? undefined : openRedirect(answered, this.#redirects);
    if (redirect !== undefined) {
      const facts = { ...redirect, reason: "open-redirect", statusCode };
      findings.push({ detector: "openRedirect", facts, byError: true });
    }
    return findings;
  }

  /** How a login ended, unless the application has recorded it; `undefined` for any other request. */
  login(answered: Answered): Finding | undefined {
    const { method, target, statusCode, request, explained } = answered;
    if (method !== "POST" || explained || statusCode === 404 || statusCode === 429 || statusCode >= 500)
      return undefined;
    if (!this.#logins.includes(pathOf(target))) return undefined;
    if (hasCause(request, "authn_login_success") || hasCause(request, "authn_login_successafterfail")) return undefined;
    const name = accountName(bodyOf(request));
    if (loginFailed(answered)) {
      const facts = { reason: `answered with ${statusCode}`, ...(name !== undefined && { userid: name }), statusCode };
      return { detector: "loginFail", facts, byError: true };
    }
    if (statusCode >= 400) return undefined;
    // The actor is who authentication has left on the request by now.
    const facts = { ...(name !== undefined && { userid: name, username: name }), statusCode };
    return { detector: "loginSuccess", facts, byError: true };
  }

  #isHoneypot(target: string): boolean {
    const path = pathOf(target);
    return this.#honeypots.some((trap) => (trap.endsWith("/*") ? path.startsWith(trap.slice(0, -1)) : path === trap));
  }

  #filledField({ request, target }: Answered): string | undefined {
    const query = queryOf(target);
    const body = Object(bodyOf(request)) as { readonly [name: string]: unknown };
    return this.#fields.find((name) => {
      const value = Object.hasOwn(body, name) ? body[name] : query.get(name);
      return value !== undefined && value !== null && value !== "";
    });
  }
}

function loginFailed(answered: Answered): boolean {
  const { statusCode, header, headers, target } = answered;
  if (FAILED_STATUS.has(statusCode)) return true;
  if (!isRedirect(statusCode)) return statusCode < 300 && /\bhtml\b/i.test(String(header("content-type") ?? ""));
  const location = String(header("location") ?? "");
  if (SAYS_FAILED.test(location)) return true;
  const to = pathOf(location);
  if (to === pathOf(target)) return true;
  const { referer } = headers;
  const from = typeof referer === "string" ? pathOf(referer) : undefined;
  return to === from && LOGIN_PAGE.test(from);
}

/** The parameter that decided where a redirect leads: to another host, which the client has named. */
function openRedirect(
  { statusCode, header, headers, target, request }: Answered,
  allowed: ReadonlySet<string>,
): { readonly inputname: string; readonly host: string } | undefined {
  if (!isRedirect(statusCode)) return undefined;
  const host = hostOf(header("location"));
  if (host === undefined || allowed.has(host) || host === String(headers["host"]).toLowerCase()) return undefined;
  const parameters = [...queryOf(target), ...Object.entries(Object(bodyOf(request)) as object)].slice(0, 100);
  const found = parameters.find(([, value]) => hostOf(value) === host);
  return found && { inputname: found[0].slice(0, 100), host };
}

/** The host of an absolute URL, as a browser reads one: also `//host` and `/\host`. */
function hostOf(value: unknown): string | undefined {
  if (typeof value !== "string" || value.length > 4_096) return undefined;
  const url = value.trim().replaceAll("\\", "/");
  if (!/^(?:https?:)?\/\//i.test(url)) return undefined;
  return URL.canParse(url, "http://-") ? new URL(url, "http://-").host : undefined;
}

/** The parsed body: of Express, Fastify and Nest on the request, of Koa on the request of its context. */
function bodyOf(request: object): unknown {
  const {
    body,
    req,
    request: inner,
  } = request as {
    readonly body?: unknown;
    readonly req?: unknown;
    readonly request?: { readonly body?: unknown };
  };
  return req !== undefined && typeof inner === "object" ? inner.body : body;
}

function queryOf(target: string): URLSearchParams {
  const at = target.indexOf("?");
  return new URLSearchParams(at === -1 ? "" : target.slice(at + 1, at + 8_192));
}

function pathOf(target: string): string {
  const path = pathOfTarget(target);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function isRedirect(statusCode: number): boolean {
  return statusCode >= 300 && statusCode < 400;
}

function paths(option: string, values: readonly string[] | undefined): readonly string[] {
  for (const value of texts(option, values)) {
    if (!value.startsWith("/")) {
      throw configError("securityCapture", option, `has ${JSON.stringify(value)}: a path begins with /`);
    }
  }
  return (values ?? []).map((value) => (value.endsWith("/*") ? value : pathOf(value)));
}

function texts(option: string, values: readonly string[] | undefined): readonly string[] {
  if (values === undefined) return [];
  if (!Array.isArray(values)) throw configError("securityCapture", option, "must be a list of texts");
  for (const value of values as readonly unknown[]) {
    if (typeof value !== "string" || value === "") {
      throw configError("securityCapture", option, `has ${String(value)}, which is not a text`);
    }
  }
  return values;
}
