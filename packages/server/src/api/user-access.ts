/** The console's own users: they sign in with a password, and a cookie has their session from then on. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Hono } from "hono";
import { shareOf } from "../http/connection-shares.ts";
import { Attempts } from "../users/attempts.ts";
import type { ConsoleUsers } from "../users/console-users.ts";
import type { RecordUserEvent } from "../users/user-events.ts";
import type { Access } from "./access.ts";
import type { Environment } from "./environment.ts";
import { failed } from "./failures.ts";
import { readJson, textOf } from "./json-body.ts";
import { addUserRoutes, type SignInResult } from "./user-routes.ts";
import type { Visitor } from "./visitor.ts";

/** Options of {@link UserAccess}. */
export interface UserAccessOptions {
  readonly users: ConsoleUsers;
  /** How programs are known. */
  readonly programs: Access;
  readonly record: RecordUserEvent;
  /** Where browsers have the console, if a proxy with TLS is before it. @default this machine only, without TLS */
  readonly publicUrl?: URL | undefined;
  /** In milliseconds. @default the machine's time */
  readonly now?: () => number;
}

const READ_MS = 10 * 60_000;
const MOST_READS = 10_000;

/** The users' access. */
export class UserAccess implements Access {
  readonly signIn = "password";
  readonly ownHostOnly = true;
  readonly open: readonly string[] = ["/api/v1/setup"];
  readonly hosts: readonly string[];
  readonly #options: UserAccessOptions;
  readonly #attempts: Attempts;
  readonly #now: () => number;
  /** When each was recorded last. */
  readonly #reads = new Map<string, number>();

  constructor(options: UserAccessOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#attempts = new Attempts(this.#now);
    this.hosts = options.publicUrl === undefined ? [] : [options.publicUrl.host];
  }

  async identify(request: Request, subject: unknown): Promise<Visitor | Response | undefined> {
    const id = this.#sessionId(request);
    const user = id === undefined ? undefined : await this.#options.users.userOf(id);
    return user ?? (await this.#options.programs.identify(request, subject));
  }

  /** Records it once in {@link READ_MS} for each visitor: a page that refreshes itself would fill the log. */
  onRead(visitor: Visitor, filter: string, incoming: IncomingMessage | null): void {
    const key = JSON.stringify([visitor.name, filter]);
    const now = this.#now();
    if (now - (this.#reads.get(key) ?? Number.NEGATIVE_INFINITY) < READ_MS) return;
    // The newest last, so that the first is the one to forget.
    this.#reads.delete(key);
    if (this.#reads.size >= MOST_READS) this.#reads.delete(this.#reads.keys().next().value ?? "");
    this.#reads.set(key, now);
    this.#options.record("log_read", incoming, { actor: visitor.name, filter });
  }

  async isStillIn(request: Request): Promise<boolean> {
    const visitor = await this.identify(request, undefined);
    return visitor !== undefined && !(visitor instanceof Response);
  }

  async isNew(): Promise<boolean> {
    return !(await this.#options.users.hasUsers());
  }

  async signOut(request: Request, visitor: Visitor | undefined, incoming: IncomingMessage | null): Promise<string> {
    const id = this.#sessionId(request);
    if (id !== undefined) await this.#options.users.end(id);
    if (visitor !== undefined) this.#options.record("session_logout", incoming, { actor: visitor.name });
    return `${this.#setCookie(request, "")}; Max-Age=0`;
  }

  addTo(app: Hono<Environment>): void {
    addUserRoutes(app, {
      users: this.#options.users,
      record: this.#options.record,
      signIn: (request, incoming) => this.#signIn(request, incoming),
      setUp: (request, incoming) => this.#setUp(request, incoming),
    });
  }

  /** Signs in, or says why not. The cookie is a new session's, whatever cookie the request has. */
  async #signIn(request: Request, incoming: IncomingMessage | null): Promise<SignInResult> {
    const { users, record } = this.#options;
    const given = await readJson(request);
    if (given instanceof Response) return given;
    const [name, password] = [textOf(given["name"], 100), textOf(given["password"], 2_000)];
    if (name === undefined || password === undefined)
      return failed(400, "BODY", "send { name, password }, both as text");
    const address = this.#addressOf(request, incoming);
    const wait = this.#attempts.waitSeconds(name, address);
    if (wait > 0) {
      record("authn_login_fail", incoming, { actor: name, reason: "locked" });
      return refused(`too many attempts: try again in ${minutes(wait)}`, { tries_left: 0, wait_seconds: wait });
    }
    if (!this.#attempts.begin(name, address)) {
      record("authn_login_fail", incoming, { actor: name, reason: "too many at once" });
      return refused("too many attempts at the same time: try again in a second", { tries_left: 0, wait_seconds: 1 });
    }
    try {
      const delay = this.#attempts.delayMs(name);
      if (delay > 0) await sleep(delay);
      const begun = await users.signIn(name, password);
      if (begun === undefined) return this.#refuse(name, address, incoming);
      this.#attempts.succeeded(name, address);
      return await this.#begun(begun, request, incoming);
    } finally {
      this.#attempts.end(name, address);
    }
  }

  /** Lets the browser's new session take the place of the one before. */
  async #begun(
    { user, id }: { readonly user: Visitor; readonly id: string },
    request: Request,
    incoming: IncomingMessage | null,
  ): Promise<SignInResult> {
    const { users, record } = this.#options;
    // The one before, of another person at this browser, is not a way back in.
    const before = this.#sessionId(request);
    if (before !== undefined) await users.end(before);
    record("authn_login_success", incoming, { actor: user.name, role: user.role });
    return { user, cookie: this.#setCookie(request, id) };
  }

  /** Makes the first user by the one-time code and signs them in, or says why not. */
  async #setUp(request: Request, incoming: IncomingMessage | null): Promise<SignInResult> {
    const { users, record } = this.#options;
    const given = await readJson(request);
    if (given instanceof Response) return given;
    const [code, name, password] = [
      textOf(given["code"], 100),
      textOf(given["name"], 100),
      textOf(given["password"], 2_000),
    ];
    if (code === undefined || name === undefined || password === undefined)
      return failed(400, "BODY", "send { code, name, password }, all as text");
    const address = this.#addressOf(request, incoming);
    const wait = this.#attempts.waitSeconds("", address);
    if (wait > 0)
      return refused(`too many attempts: try again in ${minutes(wait)}`, { tries_left: 0, wait_seconds: wait });
    if (!(await users.isSetupCode(code))) {
      this.#attempts.failed("", address);
      record("authn_login_fail", incoming, { reason: "setup code" });
      return failed(403, "SETUP", "this link has been used or is older than an hour: start seclog again for a new one");
    }
    await users.add({ name, role: "admin" }, password, () => users.useSetupCode(code));
    record("user_created", incoming, { actor: name, target: name, role: "admin" });
    record("authn_login_success", incoming, { actor: name, role: "admin" });
    return { user: { name, role: "admin" }, cookie: this.#setCookie(request, await users.begin(name)) };
  }

  #refuse(name: string, address: string, incoming: IncomingMessage | null): Response {
    const { record } = this.#options;
    const { triesLeft, locked } = this.#attempts.failed(name, address);
    record("authn_login_fail", incoming, { actor: name, reason: "wrong name or password" });
    if (locked) record("authn_login_lock", incoming, { actor: name, reason: "too many attempts" });
    const wait = this.#attempts.waitSeconds(name, address);
    const next =
      wait > 0 ? `try again in ${minutes(wait)}` : triesLeft === 1 ? "1 try left" : `${triesLeft} tries left`;
    return refused(`the name or the password is wrong: ${next}`, { tries_left: triesLeft, wait_seconds: wait });
  }

  /**
   * Behind a proxy, the address that the proxy itself saw: the last one, which a client cannot write. Of an IPv6 address the
   * network that one subscriber has.
   */
  #addressOf(request: Request, incoming: IncomingMessage | null): string {
    const seen = this.#options.publicUrl === undefined ? null : request.headers.get("x-forwarded-for");
    return shareOf(seen?.split(",").at(-1)?.trim() || incoming?.socket.remoteAddress) || "unknown";
  }

  #setCookie(request: Request, id: string): string {
    const secure = this.#options.publicUrl === undefined ? "" : "; Secure";
    return `${this.#cookieName(request)}=${id}; HttpOnly; SameSite=Strict; Path=/${secure}`;
  }

  /**
   * With TLS, `__Host-`: no sibling domain and no page without TLS can set it. Without, on this machine only, Safari would
   * refuse it; and browsers send a cookie to every port of a host, so the name has the port.
   */
  #cookieName(request: Request): string {
    if (this.#options.publicUrl !== undefined) return "__Host-seclog";
    const host = request.headers.get("host") ?? "";
    return `seclog_${createHash("sha256").update(host).digest("hex").slice(0, 8)}`;
  }

  #sessionId(request: Request): string | undefined {
    const name = `${this.#cookieName(request)}=`;
    const own = (request.headers.get("cookie") ?? "").split("; ").filter((cookie) => cookie.startsWith(name));
    // Of two with one name, at least one is not ours.
    return own.length === 1 ? own[0]?.slice(name.length) : undefined;
  }
}

function refused(message: string, more: { readonly tries_left: number; readonly wait_seconds: number }): Response {
  return failed(401, "SIGN_IN", message, {}, more);
}

function minutes(seconds: number): string {
  return seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}
