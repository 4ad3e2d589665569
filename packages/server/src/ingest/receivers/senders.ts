/** Who sends a request: its token, what it may do, and how much. */
import type { IncomingMessage } from "node:http";
import type { SecurityLog } from "seclog";
import { shareOf } from "../../http/connection-shares.ts";
import { Rates } from "./rates.ts";
import { entryOf, type TokenEntry, tokenOf } from "./token.ts";
import type { Tokens } from "./token-file.ts";

/** Why a request is refused before its body is read. */
export interface Denied {
  readonly status: 401 | 429;
  readonly message: string;
  readonly headers: { readonly [name: string]: string };
}

/** Requests without a valid token that one address may send: 20 at once, then one every 3 seconds. */
const FAILURES_PER_SECOND = 1 / 3;
const MOST_FAILURES = 20;

export class Senders {
  readonly #tokens: Tokens;
  readonly #log: SecurityLog;
  readonly #failures = new Rates(FAILURES_PER_SECOND, MOST_FAILURES);
  readonly #known = new WeakMap<IncomingMessage, TokenEntry>();

  constructor(tokens: Tokens, log: SecurityLog) {
    this.#tokens = tokens;
    this.#log = log;
  }

  /** The sender of a request that was authenticated, for the events of its refusals. */
  of(request: IncomingMessage): TokenEntry | undefined {
    return this.#known.get(request);
  }

  /** The sender of a request, or why it is refused. */
  authenticate(request: IncomingMessage): TokenEntry | Denied {
    const token = tokenOf(request.headers.authorization);
    const entry = token === undefined ? undefined : entryOf(token, this.#tokens.entries);
    if (entry !== undefined && entry.revokedAt === undefined) {
      this.#known.set(request, entry);
      return entry;
    }
    const wait = this.#failures.take(shareOf(request.socket.remoteAddress), 1);
    if (wait > 0) {
      return { status: 429, message: "too many requests without a valid token", headers: { "retry-after": `${wait}` } };
    }
    if (entry !== undefined) {
      this.#log.recordSecurityEvent("authn_token_reuse", request, {
        actor: { id: entry.name, type: "sender" },
        tokenid: entry.id,
        statusCode: 401,
      });
    }
    return {
      status: 401,
      message: "a token is needed: send Authorization: Bearer TOKEN, or TOKEN as the password of Basic credentials",
      headers: { "www-authenticate": 'Bearer realm="seclog", Basic realm="seclog"' },
    };
  }
}
