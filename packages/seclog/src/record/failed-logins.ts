/**
 * Counts failed logins, so that the one who guesses passwords stands out: of one account from many addresses, and of one
 * address through many accounts. In memory and per process: the counts of several processes are not added up.
 *
 * An attacker chooses names and may have many addresses. Each of the two maps therefore forgets its oldest entry beyond
 * a limit, and a success clears the account's count only: an attacker who owns an account would otherwise clear the
 * address's as well.
 */
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { wallNow } from "../runtime/timers.ts";

/** When failed logins become `authn_login_fail_max`. */
export interface FailedLoginsOptions {
  /** So many failures of one account. @default 5 */
  readonly perUser?: number | undefined;
  /** So many failures from one address, whatever the accounts. @default 20 */
  readonly perAddress?: number | undefined;
  /** Within so many milliseconds, from the first failure. @default 900000 */
  readonly within?: number | undefined;
}

/** {@link FailedLoginsOptions}, validated. */
export type FailedLoginsLimits = { readonly [K in keyof FailedLoginsOptions]-?: number };

/** Who tries to log in. */
export interface LoginParties {
  /** The names of the account: the one that was typed, and the id behind it. */
  readonly names: readonly string[];
  readonly address: string | undefined;
}

/** A limit that a failure reached. */
export interface ReachedLimit {
  readonly by: "user" | "address";
  readonly maxlimit: number;
  readonly failures: number;
}

/** The most accounts, and the most addresses, to count at once. */
const MOST_COUNTED = 10_000;

/** The longest name to compare by; longer ones with the same beginning share a count. */
const LONGEST_NAME = 256;

/** @throws SeclogError `SECLOG_CONFIG` that names the option at fault */
export function failedLoginsLimits(given: FailedLoginsOptions | boolean | undefined): FailedLoginsLimits | undefined {
  if (given === undefined || given === false) return undefined;
  const options = given === true ? {} : given;
  if (typeof options !== "object") {
    throw configError("createSecurityLog", "failedLogins", `must be true, false or an object, not ${String(given)}`);
  }
  rejectUnknownOptions("failedLogins", options, ["perUser", "perAddress", "within"]);
  const limit = (key: keyof FailedLoginsOptions, preset: number, min: number, max: number): number =>
    wholeNumber("failedLogins", key, options[key], { default: preset, min, max });
  return {
    perUser: limit("perUser", 5, 1, 1_000_000),
    perAddress: limit("perAddress", 20, 1, 1_000_000),
    within: limit("within", 900_000, 1_000, 86_400_000),
  };
}

interface Count {
  readonly since: number;
  failures: number;
  /** How many failures cause the next event: the limit, and from then on twice as many each time. */
  next: number;
}

/** The failures of one log. */
export class FailedLogins {
  readonly #limits: FailedLoginsLimits;
  readonly #users = new Map<string, Count>();
  readonly #addresses = new Map<string, Count>();

  constructor(limits: FailedLoginsLimits) {
    this.#limits = limits;
  }

  /**
   * Counts failures, and returns the limits that they reached.
   *
   * @param times how many: those of a flood become one event
   */
  failed({ names, address }: LoginParties, times: number = 1): readonly ReachedLimit[] {
    const { perUser, perAddress } = this.#limits;
    const reached: ReachedLimit[] = [];
    const [name] = names;
    const ofUser = name === undefined ? undefined : this.#add(this.#users, nameKey(name), perUser, times);
    if (ofUser !== undefined) reached.push({ by: "user", maxlimit: perUser, failures: ofUser });
    const ofAddress = address === undefined ? undefined : this.#add(this.#addresses, address, perAddress, times);
    if (ofAddress !== undefined) reached.push({ by: "address", maxlimit: perAddress, failures: ofAddress });
    return reached;
  }

  /** Forgets the account's failures, and returns how many there were. */
  succeeded({ names }: LoginParties): number {
    let failures = 0;
    for (const name of names) {
      const key = nameKey(name);
      const count = this.#users.get(key);
      this.#users.delete(key);
      if (count !== undefined && !this.#isOver(count)) failures = Math.max(failures, count.failures);
    }
    return failures;
  }

  /** Counts failures, and returns how many there were if that is a number to report. */
  #add(counts: Map<string, Count>, key: string, limit: number, times: number): number | undefined {
    let count = counts.get(key);
    if (count === undefined || this.#isOver(count)) {
      counts.delete(key);
      count = { since: wallNow(), failures: 0, next: limit };
      counts.set(key, count);
      if (counts.size > MOST_COUNTED) counts.delete(counts.keys().next().value as string);
    }
    count.failures += times;
    if (count.failures < count.next) return undefined;
    while (count.next <= count.failures) count.next *= 2;
    return count.failures;
  }

  #isOver({ since }: Count): boolean {
    return wallNow() - since >= this.#limits.within;
  }
}

/** Most applications compare names and e-mail addresses in this way. */
function nameKey(name: string): string {
  return name.slice(0, LONGEST_NAME).trim().toLowerCase();
}
