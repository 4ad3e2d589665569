/**
 * Signs in the person at the terminal: by a link that works once, and a cookie from then on. For a server on loopback,
 * whose only user is who started it.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Access } from "./access.ts";
import type { Visitor } from "./visitor.ts";

/** How long a session lasts. */
const SESSION_MS = 12 * 3_600_000;

/** Options of {@link LinkSignIn}. */
export interface LinkSignInOptions {
  /** Whom the link signs in. */
  readonly visitor: Visitor;
  /** How programs are known. */
  readonly programs: Access;
  /** Receives the path of the next link, when the one before was used. */
  readonly onUsed: (path: string) => void;
}

/** Who has opened the link, and the programs of another {@link Access}. */
export class LinkSignIn implements Access {
  readonly signIn = "token";
  readonly ownHostOnly = true;
  readonly #options: LinkSignInOptions;
  /** Browsers send a cookie to every port of a host: another server's must not replace ours. */
  readonly #cookie: string = `seclog_${randomBytes(4).toString("hex")}`;
  /** Each session's end, by the hash of its id. */
  readonly #sessions = new Map<string, number>();
  #code = secret();

  constructor(options: LinkSignInOptions) {
    this.#options = options;
  }

  /** The path of the link that works now. */
  get path(): string {
    return `/enter/${this.#code}`;
  }

  async identify(request: Request, subject: unknown): Promise<Visitor | Response | undefined> {
    const end = this.#sessions.get(this.#sessionOf(request) ?? "") ?? 0;
    return end > Date.now() ? this.#options.visitor : await this.#options.programs.identify(request, subject);
  }

  /** The response to the link; `undefined` to any other request. */
  enter(request: Request): Response | undefined {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith("/enter/")) return undefined;
    // A page that a browser loads in advance is not one that a person opened.
    const isOpened = request.method === "GET" && !request.headers.has("sec-purpose");
    if (!isOpened || hashOf(pathname) !== hashOf(this.path))
      return response(410, "This link has been used: open the newest one that seclog start has printed.\n");
    const id = secret();
    this.#sessions.set(hashOf(id), Date.now() + SESSION_MS);
    this.#code = secret();
    this.#options.onUsed(this.path);
    return response(303, "", { location: "/", "set-cookie": this.#setCookie(id) });
  }

  /** Ends the request's session. */
  signOut(request: Request): string {
    this.#sessions.delete(this.#sessionOf(request) ?? "");
    return `${this.#setCookie("")}; Max-Age=0`;
  }

  #setCookie(id: string): string {
    return `${this.#cookie}=${id}; HttpOnly; SameSite=Strict; Path=/`;
  }

  /** The hash of the session's id that the request has. */
  #sessionOf(request: Request): string | undefined {
    const cookies = (request.headers.get("cookie") ?? "").split("; ");
    const own = cookies.find((cookie) => cookie.startsWith(`${this.#cookie}=`));
    return own === undefined ? undefined : hashOf(own.slice(this.#cookie.length + 1));
  }
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}

/** Compared instead of the secret, so that the time of a comparison says nothing about it. */
function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

function response(status: number, text: string, headers: { readonly [name: string]: string } = {}): Response {
  return new Response(text, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      ...headers,
    },
  });
}
