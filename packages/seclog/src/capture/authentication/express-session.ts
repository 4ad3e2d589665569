import type { CatalogueData } from "../../event/catalogue.ts";
import { configError, rejectUnknownOptions } from "../../event/options.ts";
import { userId } from "../../record/actor.ts";
import { currentRequest, runWithRequest } from "../../record/context.ts";
import type { OutcomeLog } from "../outcomes.ts";

export type { OutcomeLog } from "../outcomes.ts";

/** The middleware that express-session returns, by how it is called. */
export type SessionMiddleware = (request: never, response: never, next: never) => unknown;

/** Options of {@link recordSessions}. */
export interface SessionsOptions {
  /** The cookie's name, as in express-session's `name`. @default "connect.sid" */
  readonly name?: string | undefined;
}

/**
 * Records what happens to the sessions of express-session: `session_created` when one is first saved, `session_renewed`
 * (`req.session.regenerate()`), `session_logout` (`req.session.destroy()`), `session_expired` where another session is
 * destroyed, `session_use_after_expire` for a cookie whose session is gone, and `input_validation_discrete_fail` for a
 * cookie with a forged signature.
 *
 * ```ts
 * app.use(recordSessions(security, session({ secret, resave: false, saveUninitialized: false })));
 * ```
 *
 * Ids are stored as keyed hashes (`redact.key`). With `saveUninitialized: true`, every visitor creates a session.
 */
export function recordSessions<Middleware extends SessionMiddleware>(
  log: OutcomeLog,
  session: Middleware,
  options: SessionsOptions = {},
): Middleware {
  if (typeof session !== "function") {
    throw configError("recordSessions", "session", `must be what session(…) returned, not ${typeof session}`);
  }
  rejectUnknownOptions("recordSessions", options, ["name"]);
  const recorder = new SessionRecorder(log, options.name ?? "connect.sid");
  const run = session as unknown as (request: object, response: unknown, next: unknown) => unknown;
  return ((request: SessionRequest, response: unknown, next: unknown) => {
    const inner = (): unknown => recorder.during(request, () => run(request, response, next));
    return currentRequest() === undefined ? runWithRequest(request, inner) : inner();
  }) as unknown as Middleware;
}

interface SessionRequest {
  readonly headers?: { readonly cookie?: string | undefined } | undefined;
  readonly user?: unknown;
  sessionID?: string | undefined;
  sessionStore?: SessionStore | undefined;
  session?: Session | undefined;
}

interface Session {
  readonly id: string;
  readonly req?: SessionRequest | undefined;
  destroy: (...values: unknown[]) => unknown;
}

type Done = (error?: unknown, ...values: unknown[]) => void;

interface SessionStore {
  generate: (request: SessionRequest) => void;
  get: (id: string, done: Done) => unknown;
  set: (id: string, session: Session, done?: Done) => unknown;
  destroy: (id: string, done?: Done) => unknown;
  createSession?: ((request: SessionRequest, data: unknown) => unknown) | undefined;
  regenerate?: ((request: SessionRequest, done: Done) => unknown) | undefined;
}

/** What is known of a request's session. */
interface State {
  /** Whether it has a session, read or new. */
  begun: boolean;
  /** The id in the cookie, if its signature is right. */
  asked: string | undefined;
  /** The id of a session that the store has. */
  stored: string | undefined;
  /** Who the session belonged to before it was destroyed. */
  actor: string | number | bigint | undefined;
}

/** The most ids of gone sessions to remember: one that comes again and again is recorded once. */
const MOST_GONE = 1_000;

class SessionRecorder {
  readonly #log: OutcomeLog;
  readonly #cookie: RegExp;
  readonly #name: string;
  readonly #states = new WeakMap<object, State>();
  readonly #watched = new WeakSet<object>();
  readonly #gone = new Set<string>();
  /** The request that express-session is looking at, while it does so synchronously. */
  #current: SessionRequest | undefined;
  /** The id that is being renewed: its destruction is not a logout. */
  #renewing: string | undefined;

  constructor(log: OutcomeLog, name: string) {
    this.#log = log;
    this.#name = name;
    this.#cookie = new RegExp(`(?:^|;)\\s*${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}="?s(?::|%3A)`, "i");
  }

  /** Runs express-session, and watches the store as soon as it names it. */
  during(request: SessionRequest, run: () => unknown): unknown {
    const before = this.#current;
    this.#current = request;
    if (request.sessionStore === undefined) this.#awaitStore(request);
    try {
      return run();
    } finally {
      this.#current = before;
    }
  }

  /** express-session sets `req.sessionStore` before it reads the session, and keeps the store nowhere else. */
  #awaitStore(request: SessionRequest): void {
    Object.defineProperty(request, "sessionStore", {
      configurable: true,
      enumerable: true,
      get: () => undefined,
      set: (store: SessionStore) => {
        Object.defineProperty(request, "sessionStore", {
          configurable: true,
          enumerable: true,
          writable: true,
          value: store,
        });
        this.#watch(store);
      },
    });
  }

  #state(request: object): State {
    let state = this.#states.get(request);
    if (state === undefined) {
      state = { begun: false, asked: undefined, stored: undefined, actor: undefined };
      this.#states.set(request, state);
    }
    return state;
  }

  #watch(store: SessionStore): void {
    if (this.#watched.has(store)) return;
    this.#watched.add(store);
    const { generate, get, set, destroy, regenerate, createSession } = store;
    const recorder = this;
    store.get = function (id, done) {
      const request = recorder.#current;
      const state = request && recorder.#state(request);
      if (state !== undefined) state.asked = id;
      const found: Done = (error, session, ...rest) => {
        if (state !== undefined && !isError(error) && session !== undefined && session !== null) state.stored = id;
        done(error, session, ...rest);
      };
      return Reflect.apply(get, this, [id, found]);
    };
    store.generate = function (request) {
      recorder.#begins(request);
      Reflect.apply(generate, this, [request]);
      recorder.#noteActor(request);
    };
    store.set = function (id, session, done) {
      const { req } = session;
      const saved: Done = (error, ...rest) => {
        if (!isError(error) && req !== undefined) recorder.#saved(id, req);
        done?.(error, ...rest);
      };
      return Reflect.apply(set, this, [id, session, saved]);
    };
    store.destroy = function (id, done) {
      const renewed = recorder.#renewing === id;
      const request = currentRequest() as SessionRequest | undefined;
      const destroyed: Done = (error, ...rest) => {
        if (!renewed && !isError(error)) recorder.#destroyed(id, request);
        done?.(error, ...rest);
      };
      return Reflect.apply(destroy, this, [id, destroyed]);
    };
    if (typeof createSession === "function") {
      store.createSession = function (request, data) {
        const session = Reflect.apply(createSession, this, [request, data]);
        recorder.#state(request).begun = true;
        recorder.#noteActor(request);
        return session;
      };
    }
    if (typeof regenerate !== "function") return;
    store.regenerate = function (request, done) {
      const old = request.sessionID;
      const known = recorder.#state(request).stored === old ? old : undefined;
      recorder.#renewing = old;
      try {
        return Reflect.apply(regenerate, this, [
          request,
          (error: unknown, ...rest: unknown[]) => {
            if (known !== undefined && !isError(error)) recorder.#renewed(known, request);
            done(error, ...rest);
          },
        ]);
      } finally {
        recorder.#renewing = undefined;
      }
    };
  }

  /** A request gets a new session, and its cookie may say why. */
  #begins(request: SessionRequest): void {
    const state = this.#state(request);
    if (state.begun) return;
    state.begun = true;
    if (state.asked !== undefined) this.#isGone(state.asked, request);
    else if (this.#cookie.test(request.headers?.cookie?.slice(0, 16_384) ?? "")) {
      this.#record("input_validation_discrete_fail", request, { field: this.#name, reason: "signature" });
    }
  }

  /** The cookie is genuine, and its session is not in the store: it expired, or its user logged out. */
  #isGone(id: string, request: SessionRequest): void {
    if (this.#gone.has(id)) return;
    if (this.#gone.size >= MOST_GONE) this.#gone.clear();
    this.#gone.add(id);
    // The vocabulary calls it critical, but a page that stays open over night is enough for it.
    this.#record("session_use_after_expire", request, { level: "warning", sessionid: id });
  }

  /** A session may be destroyed, which takes away the user of the request. */
  #noteActor(request: SessionRequest): void {
    const { session } = request;
    if (session === undefined) return;
    const { destroy } = session;
    const note = (): void => {
      this.#state(request).actor = userId(request.user) ?? userId(passportUser(session));
    };
    Object.defineProperty(session, "destroy", {
      configurable: true,
      enumerable: false,
      writable: true,
      value: function (this: unknown, ...values: unknown[]) {
        note();
        return Reflect.apply(destroy, this, values);
      },
    });
  }

  #saved(id: string, request: SessionRequest): void {
    const state = this.#state(request);
    if (state.stored === id) return;
    state.stored = id;
    this.#record("session_created", request, { sessionid: id });
  }

  #renewed(old: string, request: SessionRequest): void {
    const state = this.#state(request);
    state.stored = request.sessionID;
    this.#record("session_renewed", request, { sessionid: request.sessionID, previous_sessionid: old });
  }

  #destroyed(id: string, request: SessionRequest | undefined): void {
    const state = request && this.#states.get(request);
    if (state?.stored === id || request?.sessionID === id) {
      if (state !== undefined) state.stored = undefined;
      const actor = state?.actor;
      this.#record("session_logout", request, { ...(actor !== undefined && { actor }), sessionid: id });
    } else {
      const reason = request === undefined ? "timeout" : "revoked";
      this.#record("session_expired", request, { reason, sessionid: id });
    }
  }

  /** The session is what it is, whether or not the log takes the event. */
  #record(type: keyof CatalogueData, request: object | undefined, data: { readonly [name: string]: unknown }): void {
    try {
      this.#log.recordSecurityEvent(type, request, data);
    } catch {
      // Only of durability "strict", whose failure the log reports itself.
    }
  }
}

function isError(error: unknown): boolean {
  return error !== undefined && error !== null;
}

function passportUser(session: object): unknown {
  const { passport } = session as { readonly passport?: { readonly user?: unknown } | undefined };
  return passport?.user;
}
