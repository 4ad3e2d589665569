/**
 * The tokens of senders. A token is `seclog_` with the id of its entry and 32 random bytes. Only the SHA-256 of those is
 * kept: a secret of 256 random bits needs no slow hash, and a slow one would let strangers occupy the processor.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { SeclogError } from "seclog";

/** What is kept of a token, and what its sender may say. */
export interface TokenEntry {
  /** 8 hexadecimal digits, which the token begins with. */
  readonly id: string;
  /** The sender, as the log names it. */
  readonly name: string;
  /** SHA-256 of the secret, 64 hexadecimal digits. */
  readonly hash: string;
  /** The services whose events it may send; the first is that of events which name none. */
  readonly services: readonly string[];
  /** The types of event that it may send, `authn_*` for all that begin so; `undefined` for all. */
  readonly types?: readonly string[] | undefined;
  /** Whether events happened when the sender says, up to seven days ago, instead of when they were received. */
  readonly trustClock?: true | undefined;
  readonly createdAt: string;
  readonly revokedAt?: string | undefined;
}

/** What `createToken` needs. */
export interface NewToken {
  readonly name: string;
  readonly services: readonly string[];
  readonly types?: readonly string[] | undefined;
  readonly trustClock?: boolean | undefined;
}

const NAME = /^[\w.-]{1,60}$/;
const TYPE_PATTERN = /^[a-z0-9_.:-]{0,100}\*?$/;
const TOKEN = /^seclog_([0-9a-f]{8})_([A-Za-z0-9_-]{43})$/;

/**
 * Makes a token. Its text is nowhere afterwards.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the value at fault
 */
export function createToken({ name, services, types, trustClock }: NewToken): { token: string; entry: TokenEntry } {
  if (!NAME.test(name)) throw refused(`the name ${JSON.stringify(name)} is not 1 to 60 letters, digits, ., _ and -`);
  if (services.length === 0) throw refused("a token needs at least one service");
  for (const service of services) {
    if (service === "" || service.length > 100) {
      throw refused(`the service ${JSON.stringify(service)} does not have 1 to 100 characters`);
    }
  }
  for (const type of types ?? []) {
    if (type === "" || !TYPE_PATTERN.test(type)) {
      throw refused(`the type ${JSON.stringify(type)} is not an event's, such as authz_fail or authn_*`);
    }
  }
  const id = randomBytes(4).toString("hex");
  const secret = randomBytes(32).toString("base64url");
  const entry: TokenEntry = {
    id,
    name,
    hash: hashOf(secret).toString("hex"),
    services,
    ...(types !== undefined && types.length > 0 && { types }),
    ...(trustClock === true && { trustClock }),
    createdAt: new Date().toISOString(),
  };
  return { token: `seclog_${id}_${secret}`, entry };
}

/** What a token's check found: the entry that it proves, even if that was revoked. */
export function entryOf(token: string, entries: ReadonlyMap<string, TokenEntry>): TokenEntry | undefined {
  const [, id = "", secret = ""] = TOKEN.exec(token) ?? [];
  const entry = entries.get(id);
  // The same work for an unknown id: the time of a response must not show which ids exist.
  const kept = Buffer.from(entry?.hash ?? NO_HASH, "hex");
  return timingSafeEqual(hashOf(secret), kept) ? entry : undefined;
}

/** Whether a token may send events of a type. */
export function allowsType({ types }: TokenEntry, type: string): boolean {
  return (
    types?.some((pattern) => (pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern)) ?? true
  );
}

/** The token of an `Authorization` header: a bearer, or the password of Basic credentials, whose user name is ignored. */
export function tokenOf(authorization: string | undefined): string | undefined {
  const [, scheme = "", rest = ""] = /^(bearer|basic) +(\S+) *$/i.exec(authorization ?? "") ?? [];
  if (scheme === "") return undefined;
  if (scheme.toLowerCase() === "bearer") return rest;
  const credentials = Buffer.from(rest, "base64").toString("utf8");
  const colon = credentials.indexOf(":");
  return colon < 0 ? undefined : credentials.slice(colon + 1);
}

const NO_HASH = "0".repeat(64);

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function refused(message: string): SeclogError {
  return new SeclogError("SECLOG_CONFIG", message);
}
