import { userId } from "../../record/actor.ts";
import { accountName, fieldOf } from "../account-name.ts";
import { Capture } from "../capture.ts";
import { observationOf } from "../observe.ts";
import { type OutcomeLog, recordLogin } from "../outcomes.ts";

export type { OutcomeLog } from "../outcomes.ts";

/** A Passport, by the parts that are used here: what `passport` exports, or `new Passport()`. */
export interface PassportShape {
  use(...values: never[]): unknown;
  authenticate(...values: never[]): unknown;
}

/** A strategy, by the part that is used here. */
export interface StrategyShape {
  readonly name?: string | undefined;
  authenticate(...values: never[]): unknown;
}

/** Options of {@link recordPassport}. */
export interface PassportOptions {
  /**
   * Returns the name of the account that a request wants to log in to.
   * @default the strategy's `usernameField`, else `username`, `email`, `login`, … of the body, else of the query
   */
  readonly username?: ((request: object) => string | undefined) | undefined;
  /**
   * The strategies, by name, whose success is a login.
   * @default all but those that check the credentials of every request (`session`, `jwt`, `bearer`, `basic`, API keys)
   */
  readonly logins?: readonly string[] | undefined;
}

/**
 * Records every login through Passport: `authn_login_success`, and `authn_login_fail` with the name that was typed and
 * the reason, also where the answer is a redirect. The actor of a success is the user's id. `req.logout()` is
 * `session_logout`.
 *
 * ```ts
 * recordPassport(security, passport);
 * ```
 *
 * Call it at any time before the first request. A strategy that checks every request (`jwt`, `bearer`, …) causes no
 * logins: the 401 is capture's. With several strategies in one `authenticate()`, a login fails when the last one refuses.
 */
export function recordPassport(log: OutcomeLog, passport: PassportShape, options: PassportOptions = {}): void {
  const recorder = new PassportRecorder(log, options);
  const shape = passport as unknown as Patched;
  for (const strategy of Object.values(shape._strategies ?? {})) recorder.watch(strategy);
  const { use, authenticate } = shape;
  shape.use = function (this: unknown, ...values) {
    recorder.watch(values.at(-1));
    return Reflect.apply(use, this, values);
  };
  shape.authenticate = function (this: unknown, names, ...rest) {
    const list = Array.isArray(names) ? (names as readonly unknown[]) : [names];
    for (const one of list) recorder.watch(one);
    const middleware = Reflect.apply(authenticate, this, [names, ...rest]);
    if (list.length < 2 || typeof middleware !== "function") return middleware;
    return (request: object, ...others: unknown[]): unknown => {
      recorder.expect(request, list.length);
      return Reflect.apply(middleware, undefined, [request, ...others]);
    };
  };
  const manager = shape._sm;
  if (typeof manager?.logOut === "function") recorder.watchLogOut(manager as SessionManager);
}

/** What Passport keeps to itself: the strategies, and what ends a session. */
interface Patched {
  readonly _strategies?: { readonly [name: string]: unknown } | undefined;
  readonly _sm?: Partial<SessionManager> | undefined;
  use: (...values: unknown[]) => unknown;
  authenticate: (names: unknown, ...rest: unknown[]) => unknown;
}

interface SessionManager {
  logOut: (request: object, ...rest: unknown[]) => unknown;
}

/** What Passport keeps in a session. */
interface Session {
  readonly passport?: { readonly user?: unknown } | undefined;
}

/** A strategy during one attempt, when Passport has given it its outcomes. */
interface Attempt {
  success(user: unknown, info?: unknown): unknown;
  fail(challenge?: unknown, status?: unknown): unknown;
  error(error: unknown): unknown;
}

/** The strategies that authenticate each request anew, so that their success is not a login. */
const EACH_REQUEST = /^(?:session|anonymous|.*(?:jwt|bearer|api-?key|token|basic|digest|cookie|hmac|client-?cert).*)$/i;

class PassportRecorder {
  readonly #log: OutcomeLog;
  /** Records failures, of which anyone can send a flood. */
  readonly #capture: Capture;
  readonly #options: PassportOptions;
  readonly #watched = new WeakSet<object>();
  /** How many strategies may still accept a request. */
  readonly #left = new WeakMap<object, number>();

  constructor(log: OutcomeLog, options: PassportOptions) {
    this.#log = log;
    this.#capture = new Capture(log);
    this.#options = options;
  }

  expect(request: object, strategies: number): void {
    this.#left.set(request, strategies);
  }

  /** Sees how the attempts of a strategy end. */
  watch(strategy: unknown): void {
    if (typeof strategy !== "object" || strategy === null || this.#watched.has(strategy)) return;
    const { authenticate } = strategy as { authenticate?: unknown };
    if (typeof authenticate !== "function") return;
    this.#watched.add(strategy);
    const name = String((strategy as StrategyShape).name ?? "");
    const field = (strategy as { readonly _usernameField?: unknown })._usernameField;
    const username = (request: object): string | undefined => this.#username(request, field);
    const decide = (attempt: Attempt, request: object): void => this.#decide(attempt, request, name, username);
    (strategy as { authenticate: unknown }).authenticate = function (this: Attempt, ...values: unknown[]): unknown {
      const [request] = values;
      if (typeof request === "object" && request !== null) decide(this, request);
      return Reflect.apply(authenticate, this, values);
    };
  }

  watchLogOut(manager: SessionManager): void {
    const { logOut } = manager;
    const record = (request: object): void => {
      try {
        this.#loggedOut(request);
      } catch {
        // The user leaves all the same; a log that must have the event reports its failure itself.
      }
    };
    manager.logOut = function (this: unknown, request, ...rest) {
      record(request);
      return Reflect.apply(logOut, this, [request, ...rest]);
    };
  }

  #loggedOut(request: object): void {
    const { session, sessionID } = request as { readonly session?: Session; readonly sessionID?: unknown };
    // Passport has taken the user from the request by now, and takes it from the session next.
    const user = session?.passport?.user;
    if (user === undefined || user === null) return;
    const actor = userId(user);
    const id = typeof sessionID === "string" ? { sessionid: sessionID } : {};
    this.#log.recordSecurityEvent("session_logout", request, { ...(actor !== undefined && { actor }), ...id });
  }

  #decide(
    attempt: Attempt,
    request: object,
    strategy: string,
    username: (request: object) => string | undefined,
  ): void {
    const { success, fail } = attempt;
    const isLogin = this.#options.logins?.includes(strategy) ?? !EACH_REQUEST.test(strategy);
    attempt.success = (user, info) => {
      this.#left.delete(request);
      try {
        if (isLogin) this.#succeeded(request, strategy, user, username(request));
      } catch (error) {
        // Only of a login that must be on disk before it counts (durability "strict").
        return attempt.error(error);
      }
      return Reflect.apply(success, attempt, [user, info]);
    };
    attempt.fail = (...values) => {
      const left = (this.#left.get(request) ?? 1) - 1;
      this.#left.set(request, left);
      if (isLogin && left <= 0) this.#failed(request, strategy, values[0], username(request));
      // passport-jwt fails with the library's error, which has the reason.
      else if (values[0] instanceof Error) observationOf(request)?.sawError(values[0]);
      return Reflect.apply(fail, attempt, values);
    };
  }

  #succeeded(request: object, strategy: string, user: unknown, username: string | undefined): void {
    const actor = userId(user) ?? username;
    recordLogin(this.#log, request, {
      success: true,
      strategy,
      ...(actor !== undefined && { actor }),
      ...(username !== undefined && { username }),
    });
  }

  #failed(request: object, strategy: string, challenge: unknown, userid: string | undefined): void {
    const reason = reasonOf(challenge);
    this.#capture.record("loginFail", request, {
      strategy,
      ...(userid !== undefined && { userid }),
      ...(reason !== undefined && { reason }),
    });
  }

  #username(request: object, field: unknown): string | undefined {
    try {
      if (this.#options.username !== undefined) return this.#options.username(request);
      const { body, query } = request as { readonly body?: unknown; readonly query?: unknown };
      if (typeof field === "string") return fieldOf(body, field) ?? fieldOf(query, field);
      return accountName(body) ?? accountName(query);
    } catch {
      // The application's function threw, or a getter of the request.
      return undefined;
    }
  }
}

/** What the strategy or the application says of a failure: `{ message: "Incorrect password." }`, or an error. */
function reasonOf(challenge: unknown): string | undefined {
  const { message, name } = Object(challenge) as { readonly message?: unknown; readonly name?: unknown };
  if (challenge instanceof Error && typeof name === "string" && name !== "Error") return name;
  // A text is a challenge of RFC 9110, unless the application uses it for its reason.
  const text = typeof challenge === "string" && !/^\w+ (?:realm|charset)=/i.test(challenge) ? challenge : message;
  return typeof text === "string" ? text.slice(0, 200) : undefined;
}
