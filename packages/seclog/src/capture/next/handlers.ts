import { openCauses } from "../../record/causes.ts";
import { currentRequest } from "../../record/context.ts";
import { type Observation, observationOf } from "../observe.ts";
import { isControlFlow } from "./control-flow.ts";

/**
 * Wraps a route handler, a Server Action or the function of `proxy.ts`, and shows its capture what only the handler
 * knows: the errors that it throws, a body that it could not read although it answers that itself, and that its
 * `Request` is the one that Node received, with the address of the client.
 *
 * ```ts
 * export const POST = withSecurityLog(async (request: Request) => {
 *   const order = await request.json();
 *   security.recordSecurityEvent("sensitive_create", request, { object: order.id });
 *   return Response.json(order, { status: 201 });
 * });
 * ```
 *
 * What the handler returns or throws passes unchanged.
 */
export function withSecurityLog<Arguments extends readonly unknown[], Result>(
  handler: (...values: Arguments) => Result,
): (...values: Arguments) => Result {
  return (...values) => {
    const observation = begin(values[0]);
    if (observation === undefined) return handler(...values);
    try {
      const result = handler(...values);
      // Observed beside what Next awaits, which stays the handler's own.
      if (result instanceof Promise) result.then(undefined, (error: unknown) => saw(observation, error));
      return result;
    } catch (error) {
      saw(observation, error);
      throw error;
    }
  };
}

function saw(observation: Observation, error: unknown): void {
  if (!isControlFlow(error)) observation.sawError(error);
}

/** The observation of the current request, by which events find it when they are passed Next's. */
function begin(request: unknown): Observation | undefined {
  try {
    const current = currentRequest();
    const observation = current === undefined ? undefined : observationOf(current);
    if (observation !== undefined && request instanceof Request) {
      openCauses(request, observation);
      watchBody(request, observation);
    }
    return observation;
  } catch {
    return undefined;
  }
}

/** A body that cannot be read is refused by the handler, which catches the error. */
function watchBody(request: Request, observation: Observation): void {
  for (const name of ["json", "formData"] as const) {
    const read = request[name].bind(request) as () => Promise<never>;
    Object.defineProperty(request, name, {
      configurable: true,
      writable: true,
      value: async () => {
        try {
          return await read();
        } catch (error) {
          const reason = name === "json" ? "JSON" : "FormData";
          observation.sawRefusal({ detector: "malformed", facts: { reason }, ifRefused: true });
          throw error;
        }
      },
    });
  }
}
