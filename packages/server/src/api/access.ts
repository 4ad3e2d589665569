/** Who sends a request, and what they may. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Right, SessionResult, UserRole } from "@seclog/api";
import type { Context as HonoContext } from "hono";
import { isLoopback } from "../http/service.ts";
import { failed } from "./failures.ts";

/** A person or a program. */
export interface Visitor {
  readonly name: string;
  readonly role: UserRole;
}

/** How a server knows its visitors. */
export interface Access {
  readonly signIn: SessionResult["sign_in"];
  /** Whether only names of this machine may be the request's Host: a web page must not read the log through its own. */
  readonly ownHostOnly: boolean;
  /**
   * Who sends the request; `undefined` for a stranger. A response is sent as it is, such as a redirect to a sign-in.
   *
   * @param subject what the framework has for the request, if there is one
   */
  identify(
    request: Request,
    subject: unknown,
  ): Visitor | Response | undefined | Promise<Visitor | Response | undefined>;
  /** Ends the sender's session, and returns the cookie that says so. @default a session is not ours to end */
  signOut?(request: Request): string;
}

/** Nobody has `views` and `users`: the server keeps neither yet. */
const RIGHTS: { readonly [R in UserRole]: readonly Right[] } = {
  analyst: ["query", "personal"],
  auditor: ["query", "personal", "export", "verify"],
  admin: ["query", "personal", "export", "verify"],
};

/** What a role may. */
export function rightsOf(role: UserRole): readonly Right[] {
  return RIGHTS[role];
}

/** Programs, by the one token of `seclog start`. */
export function tokenAccess(token: string): Access {
  return {
    signIn: "token",
    ownHostOnly: true,
    identify(request) {
      const [, given = ""] = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "") ?? [];
      return isSame(given, token) ? { name: "token", role: "admin" } : undefined;
    },
  };
}

/** In a time that says nothing about the token. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

/** Why a request is refused whoever sends it. */
export function refusal(c: HonoContext, { ownHostOnly }: Access): Response | undefined {
  const host = c.req.header("host") ?? "";
  if (ownHostOnly && !isLoopback(host.replace(/:\d+$/, "")))
    return failed(421, "HOST", "this server responds only to localhost; a proxy must send Host: localhost");
  if (!isOwnSite(c, host))
    return failed(403, "ORIGIN", "requests of other sites are refused: open the console's own address");
  return undefined;
}

/**
 * Whether the page that sends a request, if one does, is the console's own. A browser says it (Fetch Metadata,
 * https://www.w3.org/TR/fetch-metadata/), except on plain HTTP and old ones, which send the origin of what changes
 * something. A person's typed or followed address is fine for reading.
 */
function isOwnSite(c: HonoContext, host: string): boolean {
  const site = c.req.header("sec-fetch-site");
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  if (site !== undefined) return site === "same-origin" || (reads && site !== "cross-site");
  const origin = c.req.header("origin");
  return reads || origin === undefined || hostOf(origin) === host.toLowerCase();
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
