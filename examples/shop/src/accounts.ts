import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

/** A person who may sign in. `password` is scrypt's `salt.hash`, both in base64. */
export interface Account {
  readonly id: string;
  readonly name: string;
  readonly role: "customer" | "admin";
  readonly password: string;
}

const scryptAsync = promisify(scrypt) as (
  password: string,
  salt: Buffer,
  length: number,
  options: { readonly N: number; readonly r: number; readonly p: number; readonly maxmem: number },
) => Promise<Buffer>;

/** OWASP Password Storage Cheat Sheet: of its equally strong parameters, those that need the least memory, 16 MiB. */
const COST = { N: 2 ** 14, r: 8, p: 5, maxmem: 32 * 2 ** 20 } as const;

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await scryptAsync(password, salt, 32, COST);
  return `${salt.toString("base64")}.${hash.toString("base64")}`;
}

/** Takes as long for an unknown account, so that the time does not reveal which names exist. */
export async function checkPassword(account: Account | undefined, password: string): Promise<boolean> {
  const [salt = "", hash = ""] = (account?.password ?? NO_PASSWORD).split(".");
  const expected = Buffer.from(hash, "base64");
  const actual = await scryptAsync(password, Buffer.from(salt, "base64"), expected.length, COST);
  return timingSafeEqual(actual, expected) && account !== undefined;
}

const NO_PASSWORD = `${Buffer.alloc(16).toString("base64")}.${Buffer.alloc(32).toString("base64")}`;

/** How long a session lives without a request. */
const SESSION_LIFE = 30 * 60_000;

/** Beyond this many sessions, the oldest is dropped. */
const MOST_SESSIONS = 10_000;

/** The accounts that are signed in, by the id in their cookie. In memory: a restart signs everyone out. */
export class Sessions {
  readonly #sessions = new Map<string, { readonly account: Account; seen: number }>();

  start(account: Account): string {
    const id = newSessionId();
    const oldest = this.#sessions.keys().next();
    if (this.#sessions.size >= MOST_SESSIONS && !oldest.done) this.#sessions.delete(oldest.value);
    this.#sessions.set(id, { account, seen: Date.now() });
    return id;
  }

  find(id: string): Account | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    if (Date.now() - session.seen > SESSION_LIFE) {
      this.#sessions.delete(id);
      return undefined;
    }
    session.seen = Date.now();
    return session.account;
  }

  end(id: string): void {
    this.#sessions.delete(id);
  }
}

export function newSessionId(): string {
  return randomBytes(32).toString("base64url");
}
