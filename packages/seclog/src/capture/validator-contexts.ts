/** What express-validator leaves on a request: the chains that ran, each with the errors that it found. */
import { fieldsOf } from "./validation-errors.ts";

interface Context {
  readonly errors?: readonly unknown[];
}

/** The fields that express-validator refused; `undefined` if it refused none, or did not run. May throw. */
export function contextFields(request: object): readonly string[] | undefined {
  const contexts = (request as { readonly "express-validator#contexts"?: unknown })["express-validator#contexts"];
  if (!Array.isArray(contexts)) return undefined;
  const fields = fieldsOf((contexts as Context[]).flatMap(({ errors = [] }) => errors));
  return fields.length === 0 ? undefined : fields;
}
