/** Records logins, and what the failures before them mean. */
import { FailedLogins, type FailedLoginsLimits } from "../record/failed-logins.ts";
import type { Recorder, ResolvedType } from "../record/recorder.ts";
import type { Receipt } from "../record/security-log.ts";

/** Records an event, if the log's level allows. */
type RecordIfEnabled = (type: ResolvedType, request: unknown, data: unknown) => Receipt;

/** The logins of one log. */
export class Logins {
  readonly #failed: FailedLogins;
  readonly #recorder: Recorder;
  readonly #record: RecordIfEnabled;

  constructor(limits: FailedLoginsLimits, recorder: Recorder, record: RecordIfEnabled) {
    this.#failed = new FailedLogins(limits);
    this.#recorder = recorder;
    this.#record = record;
  }

  /** Records an event of any type. May throw what the log throws. */
  record(type: ResolvedType, request: unknown, data: unknown): Receipt {
    if (type.name === "authn_login_fail") return this.#failure(type, request, data);
    return type.name === "authn_login_success" ? this.#success(type, request, data) : this.#record(type, request, data);
  }

  #failure(type: ResolvedType, request: unknown, data: unknown): Receipt {
    const receipt = this.#record(type, request, data);
    const { names, address } = this.#recorder.loginParties(request, data);
    const parties = { names, address: isOfCrowd(data) ? undefined : address };
    for (const { by, maxlimit, failures } of this.#failed.failed(parties, countOf(data))) {
      // Of an address: no account is the one at fault.
      const userid = by === "user" ? { userid: parties.names[0] } : {};
      const facts = { ...userid, maxlimit, failures, reason: by };
      this.#record(this.#recorder.resolve("authn_login_fail_max"), request, facts);
    }
    return receipt;
  }

  #success(type: ResolvedType, request: unknown, data: unknown): Receipt {
    const retries = this.#failed.succeeded(this.#recorder.loginParties(request, data));
    if (retries === 0) return this.#record(type, request, data);
    const afterFail = this.#recorder.resolve("authn_login_successafterfail");
    return this.#record(afterFail, request, withRetries(data, retries));
  }
}

/** How many failures a call stands for. */
function countOf(data: unknown): number {
  try {
    const { count } = Object(data) as { readonly count?: unknown };
    return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 1;
  } catch {
    return 1;
  }
}

/** Whether an event stands for the failures of many addresses: its own is only the last of them. */
function isOfCrowd(data: unknown): boolean {
  try {
    const { addresses } = Object(data) as { readonly addresses?: unknown };
    return typeof addresses === "number" && addresses > 1;
  } catch {
    return false;
  }
}

/** What the call says, with the number of failures, unless the application has counted them itself. */
function withRetries(data: unknown, retries: number): unknown {
  try {
    return { retries, ...Object(data) };
  } catch {
    // A getter threw: the recorder takes what is readable.
    return data;
  }
}
