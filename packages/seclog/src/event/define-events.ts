import { definitionOf } from "./catalogue.ts";
import { type EventDefinition, type EventSchema, isEventTypeName } from "./definition.ts";
import { DURABILITIES, type Durability } from "./durability.ts";
import { SeclogError } from "./errors.ts";
import { OUTCOMES, type Outcome } from "./event.ts";
import { isLevel, LEVELS, type Level } from "./level.ts";

/** The options of `defineEvents` for one type: everything has a default. */
export interface EventDefinitionOptions<Data extends object = object> {
  /** @default "warning" */
  readonly level?: Level;
  /** @default "custom" */
  readonly category?: string;
  /** @default "unknown" */
  readonly outcome?: Outcome;
  /** @default "disk" */
  readonly durability?: Durability;
  /** @default the type itself */
  readonly description?: string;
  /** Any Standard Schema validator of the data. It must not be asynchronous. */
  readonly schema?: EventSchema<Data>;
}

/** The definitions that {@link defineEvents} returns for its options. */
export type DefinedEvents<Options> = {
  readonly [T in keyof Options]: EventDefinition<
    Options[T] extends { readonly schema: EventSchema<infer Data extends object> } ? Data : object
  >;
};

/**
 * An application's own types of event, for `createSecurityLog({ events })`.
 *
 * ```ts
 * const events = defineEvents({
 *   "refund_refused": { level: "error", schema: z.object({ orderId: z.string() }) },
 * });
 * ```
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the type and the key at fault. A type of the catalogue cannot be
 *   redefined: it must mean the same in every application.
 */
export function defineEvents<const Options extends { readonly [type: string]: EventDefinitionOptions }>(
  options: Options,
): DefinedEvents<Options> {
  const definitions: [string, EventDefinition][] = [];
  for (const [type, given] of Object.entries(options)) {
    definitions.push([type, checkedDefinition(type, given)]);
  }
  // fromEntries creates an own property even for `__proto__`, which the pattern refuses anyway.
  return Object.freeze(Object.fromEntries(definitions)) as DefinedEvents<Options>;
}

const CATEGORY_NAME = /^[a-z0-9_.:-]{1,40}$/;
const OPTION_NAMES: ReadonlySet<string> = new Set([
  "level",
  "category",
  "outcome",
  "durability",
  "description",
  "schema",
  // Definitions may be passed in again, to merge those of two modules.
  "refine",
]);

function checkedDefinition(type: string, given: EventDefinitionOptions): EventDefinition {
  if (!isEventTypeName(type)) {
    throw config(type, undefined, "must be 1 to 100 characters of a-z, 0-9, _ . : -");
  }
  if (definitionOf(type) !== undefined) {
    throw config(type, undefined, "is a type of the catalogue: choose a name of your own");
  }
  if (typeof given !== "object" || given === null) throw config(type, undefined, "must be an object");
  for (const key of Object.keys(given)) {
    if (!OPTION_NAMES.has(key)) throw config(type, key, `is unknown: use ${[...OPTION_NAMES].join(", ")}`);
  }
  const {
    level = "warning",
    category = "custom",
    outcome = "unknown",
    durability = "disk",
    description = type,
  } = given;
  if (!isLevel(level)) throw config(type, "level", `must be one of ${LEVELS.join(", ")}`);
  if (!OUTCOMES.includes(outcome)) throw config(type, "outcome", `must be one of ${OUTCOMES.join(", ")}`);
  if (!DURABILITIES.includes(durability)) throw config(type, "durability", `must be one of ${DURABILITIES.join(", ")}`);
  if (typeof category !== "string" || !CATEGORY_NAME.test(category)) {
    throw config(type, "category", "must be 1 to 40 characters of a-z, 0-9, _ . : -");
  }
  if (typeof description !== "string") throw config(type, "description", "must be a string");
  const schema = given.schema;
  if (schema !== undefined && typeof schema["~standard"]?.validate !== "function") {
    throw config(type, "schema", "must be a Standard Schema validator (Zod 3.24, Valibot 1, ArkType 2 or later)");
  }
  return Object.freeze({
    level,
    category,
    outcome,
    durability,
    description,
    ...(schema === undefined ? {} : { schema }),
  });
}

function config(type: string, key: string | undefined, problem: string): SeclogError {
  const name = JSON.stringify(type.length > 120 ? `${type.slice(0, 120)}…` : type);
  return new SeclogError("SECLOG_CONFIG", `events[${name}]${key === undefined ? "" : `.${key}`} ${problem}`);
}
