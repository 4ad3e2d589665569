/** Passwords of the console's users: scrypt (RFC 7914), with the work that OWASP's Password Storage Cheat Sheet asks for. */
import { type BinaryLike, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { InputError } from "../text/input-error.ts";

const LEAST_CHARACTERS = 12;
const MOST_BYTES = 1_024;

/** How much work a guess costs: 2^cost blocks of 1 KB, `passes` times. */
export interface Work {
  readonly cost: number;
  readonly passes: number;
}

/** OWASP: N=2^16, r=8, p=2, which takes 64 MiB. */
const WORK: Work = { cost: 16, passes: 2 };
const BLOCK = 8;
/** A row may come from elsewhere: more would let it stop the server. */
const MOST_COST = 20;
const HASH_BYTES = 32;

/** How many run at a time, in 64 MiB each, and how many may wait: attempts to sign in must not take the server's memory. */
const MOST_RUNNING = 2;
const MOST_WAITING = 20;

/** Too many attempts run at the same time. */
export class Busy extends Error {}

/** @throws InputError for a password that the console does not take */
export function checkPassword(password: string, name: string): void {
  const fault =
    [...password].length < LEAST_CHARACTERS
      ? `has fewer than ${LEAST_CHARACTERS} characters`
      : Buffer.byteLength(password) > MOST_BYTES
        ? `has more than ${MOST_BYTES} bytes`
        : password.toLowerCase().includes(name.toLowerCase()) && password.length < name.length + LEAST_CHARACTERS
          ? "is little more than the user's name"
          : undefined;
  if (fault === undefined) return;
  throw new InputError((named) => `the ${named("password")} ${fault}: choose another, such as four random words`);
}

/** Makes and compares verifiers, a few at a time. */
export class Passwords {
  readonly #work: Work;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #unknown: string;

  constructor(work: Work = WORK) {
    this.#work = work;
    this.#unknown = verifierText(work, randomBytes(16), randomBytes(HASH_BYTES));
  }

  /** @throws Busy */
  async verifier(password: string): Promise<string> {
    const salt = randomBytes(16);
    return verifierText(this.#work, salt, await this.#derive(password, salt, this.#work));
  }

  /**
   * Whether the password has the verifier. Without one, for an unknown user, the same work is done.
   *
   * @throws Busy
   */
  async matches(password: string, verifier: string | undefined): Promise<boolean> {
    const [, cost, passes, salt = "", hash = ""] =
      /^scrypt\$(\d\d)\$(\d)\$([\w-]{22})\$([\w-]{43})$/.exec(verifier ?? this.#unknown) ?? [];
    const work = { cost: Number(cost), passes: Number(passes) };
    if (!(work.cost > 0 && work.cost <= MOST_COST && work.passes > 0)) return false;
    // A longer one was refused when it was chosen.
    const given = Buffer.byteLength(password) > MOST_BYTES ? "" : password;
    const derived = await this.#derive(given, Buffer.from(salt, "base64url"), work);
    return timingSafeEqual(derived, Buffer.from(hash, "base64url")) && verifier !== undefined;
  }

  async #derive(password: string, salt: Buffer, { cost, passes }: Work): Promise<Buffer> {
    if (this.#running >= MOST_RUNNING) {
      if (this.#waiting.length >= MOST_WAITING) throw new Busy("too many people are signing in at this moment");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      // 128 bytes for each of N and r (RFC 7914, section 6), and room for the rest.
      const maxmem = 2 ** cost * BLOCK * 128 + 2 ** 22;
      // Two keyboards may compose one letter differently.
      return await derived(password.normalize("NFC"), salt, { N: 2 ** cost, r: BLOCK, p: passes, maxmem });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function derived(password: BinaryLike, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function verifierText({ cost, passes }: Work, salt: Buffer, hash: Buffer): string {
  return `scrypt$${String(cost).padStart(2, "0")}$${passes}$${salt.toString("base64url")}$${hash.toString("base64url")}`;
}
