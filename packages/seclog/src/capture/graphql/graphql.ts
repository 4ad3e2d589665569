import type { CaptureLog } from "../capture.ts";
import { InnerCapture, type InnerCaptureOptions } from "../inner.ts";
import { graphqlFindings, type Phase } from "./errors.ts";
import { type GraphqlDocument, operationFacts } from "./operation.ts";

export type { CaptureLog } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export type { InnerCaptureOptions } from "../inner.ts";
export { type AccessFacts, checkAccess, type LoginFacts, recordLogin } from "../outcomes.ts";

/** A plugin of GraphQL Yoga and Envelop, typed by the hooks that it has. */
export interface EnvelopSecurityPlugin {
  onPluginInit(payload: object): void;
  onParse(payload: object): (done: object) => void;
  onValidate(payload: object): (done: object) => void;
  onExecute(payload: object): { onExecuteDone(done: object): void };
  onSubscribe(payload: object): { onSubscribeResult(done: object): void };
}

/** What Envelop passes to its hooks. */
interface Payload {
  readonly context?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly args?: {
    readonly contextValue?: unknown;
    readonly document?: GraphqlDocument;
    readonly operationName?: unknown;
  };
  readonly validateFn?: (...values: unknown[]) => unknown;
  setValidationFn?(validate: (...values: unknown[]) => unknown): void;
  registerContextErrorHandler?(handler: (payload: Payload) => void): void;
}

/**
 * Records what GraphQL operations refuse, in GraphQL Yoga and every server with Envelop. They answer 200, so the
 * server's own capture, which you install as well, does not see it:
 *
 * ```ts
 * const yoga = createYoga({ schema, plugins: [useSecurityLog(security)] });
 * ```
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function useSecurityLog(log: CaptureLog, options: InnerCaptureOptions = {}): EnvelopSecurityPlugin {
  const see = observer("useSecurityLog", log, options, requestOfEnvelop);
  const executed = (done: object): void => {
    const { args, result } = done as Payload;
    see(errorsOf(result), "execute", args?.contextValue, args?.document, args?.operationName);
  };
  return {
    onPluginInit(payload) {
      (payload as Payload).registerContextErrorHandler?.(({ context, error }) => see([error], "execute", context));
    },
    onParse: () => (done) => {
      const { context, result } = done as Payload;
      if (result instanceof Error) see([result], "parse", context);
    },
    onValidate(payload) {
      watchValidation(payload as Payload, (error, context) => see([error], "validate", context));
      return (done) => {
        const { context, result } = done as Payload;
        if (Array.isArray(result)) see(result, "validate", context);
      };
    },
    onExecute: () => ({ onExecuteDone: executed }),
    onSubscribe: (payload) => ({
      // Its result comes without the arguments.
      onSubscribeResult: (done) => executed({ args: (payload as Payload).args, ...done }),
    }),
  };
}

/** A rule may throw instead of reporting, as those of GraphQL Armor do: then validation has no result. */
function watchValidation(payload: Payload, threw: (error: unknown, context: unknown) => void): void {
  const { validateFn, context } = payload;
  if (validateFn === undefined) return;
  payload.setValidationFn?.((...values) => {
    try {
      return validateFn(...values);
    } catch (error) {
      threw(error, context);
      throw error;
    }
  });
}

/** A plugin of Apollo Server, typed by the hooks that it has. */
export interface ApolloSecurityPlugin {
  requestDidStart(): Promise<{ didEncounterErrors(request: object): Promise<void> }>;
  contextCreationDidFail(failure: { readonly error: Error }): Promise<void>;
  invalidRequestWasReceived(failure: { readonly error: Error }): Promise<void>;
}

/** What Apollo passes when an operation has failed. */
interface ApolloRequest {
  readonly contextValue?: unknown;
  readonly request?: { readonly http?: unknown };
  readonly errors?: readonly unknown[];
  readonly document?: GraphqlDocument;
  readonly operation?: unknown;
  readonly operationName?: unknown;
}

/**
 * Records what GraphQL operations refuse, in Apollo Server 4 and 5, as {@link useSecurityLog} does in others:
 *
 * ```ts
 * const server = new ApolloServer({ typeDefs, resolvers, plugins: [apolloSecurityLog(security)] });
 * ```
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector.
 */
export function apolloSecurityLog(log: CaptureLog, options: InnerCaptureOptions = {}): ApolloSecurityPlugin {
  const see = observer("apolloSecurityLog", log, options, requestOfApollo);
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors(request) {
          const { errors = [], contextValue, document, operation, operationName } = request as ApolloRequest;
          // An operation is chosen from a valid document only.
          const phase = document === undefined ? "parse" : operation === undefined ? "validate" : "execute";
          see(errors, phase, { contextValue, request }, document, operationName);
        },
      };
    },
    async contextCreationDidFail({ error }) {
      see([error], "execute", undefined);
    },
    async invalidRequestWasReceived({ error }) {
      see([error], "execute", undefined);
    },
  };
}

type Observer = (
  errors: readonly unknown[],
  phase: Phase,
  context: unknown,
  document?: GraphqlDocument,
  named?: unknown,
) => void;

/** Records the findings of an operation. What it returns never throws. */
function observer(
  name: string,
  log: CaptureLog,
  options: InnerCaptureOptions,
  partsOf: (context: unknown) => { readonly request: unknown; readonly context: unknown },
): Observer {
  const capture = new InnerCapture(name, log, options);
  return (errors, phase, given, document, named) => {
    if (errors.length === 0) return;
    try {
      const { request, context } = partsOf(given);
      const operation = phase === "execute" ? operationFacts(document, named) : {};
      for (const { detector, facts } of graphqlFindings(errors, phase)) {
        capture.record(request, context, detector, { ...operation, ...facts });
      }
    } catch {
      // Not what the server passes.
    }
  };
}

/** Yoga has Node's request as `req` where there is one, and the Fetch request as `request`. */
function requestOfEnvelop(context: unknown): { readonly request: unknown; readonly context: unknown } {
  const { req, request } = Object(context) as { readonly req?: unknown; readonly request?: unknown };
  return { request: req ?? request, context };
}

/** Apollo's own request has headers alone; applications put Node's into their context. */
function requestOfApollo(given: unknown): { readonly request: unknown; readonly context: unknown } {
  const { contextValue, request } = Object(given) as {
    readonly contextValue?: unknown;
    readonly request?: ApolloRequest;
  };
  const { req, request: other } = Object(contextValue) as { readonly req?: unknown; readonly request?: unknown };
  return { request: req ?? other ?? request?.request?.http, context: contextValue };
}

function errorsOf(result: unknown): readonly unknown[] {
  const { errors } = Object(result) as { readonly errors?: unknown };
  return Array.isArray(errors) ? errors : [];
}
