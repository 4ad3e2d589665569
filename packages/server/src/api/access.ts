/** Who sends a request, and what they may. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Right, SessionResult, UserRole } from "@seclog/api";
import type { Hono, Context as HonoContext } from "hono";
import { isLoopback } from "../http/service.ts";
import type { Environment } from "./environment.ts";
import { failed } from "./failures.ts";
import type { Visitor } from "./visitor.ts";

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
  /** Other names that a request's Host may be, with their port. @default none */
  readonly hosts?: readonly string[];
  /** Ends the sender's session, and returns the cookie that says so. @default a session is not ours to end */
  signOut?(request: Request, visitor: Visitor | undefined, incoming: IncomingMessage | null): string | Promise<string>;
  /** Whether the first user is still to be made. @default false */
  isNew?(): Promise<boolean>;
  /** Paths that strangers may ask, to sign in. @default `GET session` */
  readonly open?: readonly string[];
  /** Learns of a page that shows one event, or one entity, which may be a person: the query that finds it. */
  onRead?(visitor: Visitor, filter: string, incoming: IncomingMessage | null): void;
  /** Whether the sender of an open stream may go on reading. @default as long as the client stays */
  isStillIn?(request: Request): Promise<boolean>;
  /** Adds paths of its own, before the API's. */
  addTo?(app: Hono<Environment>): void;
}

const RIGHTS: { readonly [R in UserRole]: readonly Right[] } = {
  analyst: ["query", "personal", "views"],
  auditor: ["query", "personal", "export", "verify"],
  admin: ["query", "personal", "views", "export", "verify", "users"],
};

/** What a role may. */
export function rightsOf(role: UserRole): readonly Right[] {
  return RIGHTS[role];
}

/** What a visitor may at a server that keeps users and views, or not. */
export function rightsAt({ addTo }: Access, role: UserRole): readonly Right[] {
  return rightsOf(role).filter((right) => addTo !== undefined || (right !== "views" && right !== "users"));
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

/** Why a request is refused, signed in or not. */
export function refusal(c: HonoContext, { ownHostOnly, hosts = [] }: Access): Response | undefined {
  const host = c.req.header("host") ?? "";
  if (ownHostOnly && !isLoopback(host.replace(/:\d+$/, "")) && !hosts.includes(host.toLowerCase()))
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
