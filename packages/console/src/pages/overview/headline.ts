/** The sentence that a page begins with: made of counted facts only, and plain when nothing stands out. */
import { counted } from "../../data/numbers.ts";

/** How often something happened in the range, and in the time of the same length before it. */
export interface Compared {
  readonly name: string;
  readonly now: number;
  readonly before: number;
}

/** What people call the events of a type. */
const NAMES: { readonly [type: string]: string } = {
  authn_login_fail: "Failed sign-ins",
  authn_login_fail_max: "Accounts at their limit of failed sign-ins",
  authn_login_lock: "Locked accounts",
  authn_login_successafterfail: "Sign-ins after failures",
  authz_fail: "Refused accesses",
  excess_rate_limit_exceeded: "Requests above a limit",
  illegal_request_method: "Refused methods",
  input_validation_fail: "Refused inputs",
  malicious_attack_tool: "Requests of attack tools",
  malicious_csrf: "Failed CSRF checks",
  malicious_excess_404: "Bursts of missing paths",
  malicious_sqli: "SQL injections",
  origin_rejected: "Refused origins",
  webhook_signature_failure: "Refused webhooks",
};

/** A rise below this many events is chance. */
const LEAST_EVENTS = 20;
const LEAST_RATIO = 2;

export interface Headline {
  readonly text: string;
  /** The type that stands out, to look at. */
  readonly type: string | undefined;
}

/**
 * @param types the most frequent types
 * @param total all events
 * @param period such as `the 24 h before`
 */
export function headlineOf(types: readonly Compared[], total: Compared, period: string): Headline {
  if (total.now === 0)
    return { text: `No event, after ${counted(total.before, "event")} in ${period}.`, type: undefined };
  // Of a log that has just begun, everything would be new.
  if (total.before === 0) {
    return { text: `${counted(total.now, "event")}; the log has none of ${period} to compare with.`, type: undefined };
  }
  const rises = types
    .filter(({ now, before }) => now >= LEAST_EVENTS && now >= before * LEAST_RATIO)
    .sort((one, other) => other.now - other.before - (one.now - one.before));
  const [most] = rises;
  if (most === undefined)
    return { text: `Nothing stands out: ${counted(total.now, "event")}${against(total, period)}.`, type: undefined };
  const name = NAMES[most.name] ?? `Events of type ${most.name}`;
  if (most.before === 0)
    return { text: `${name} are new: ${counted(most.now, "event")}, and none in ${period}.`, type: most.name };
  const ratio = most.now / most.before;
  const times = ratio >= 10 ? Math.round(ratio) : Number(ratio.toFixed(1));
  return { text: `${name} are ${times} times ${period}.`, type: most.name };
}

function against({ now, before }: Compared, period: string): string {
  const percent = Math.round((now / before - 1) * 100);
  if (percent === 0) return `, as many as in ${period}`;
  return `, ${Math.abs(percent)} % ${percent > 0 ? "more" : "fewer"} than in ${period}`;
}
