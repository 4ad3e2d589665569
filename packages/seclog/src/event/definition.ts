import { isPromise } from "node:util/types";
import type { Durability } from "./durability.ts";
import { errorMessage } from "./errors.ts";
import type { Outcome } from "./event.ts";
import type { Level } from "./level.ts";

/**
 * The part of Standard Schema 1 (https://standardschema.dev) that Seclog calls. Zod, Valibot, ArkType and others
 * implement it. `validate` must be synchronous, since a request does not wait for a promise.
 */
export interface EventSchema<Data = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>;
    readonly types?: { readonly input: Data; readonly output: unknown } | undefined;
  };
}

/** A schema's result: the value, or its issues. */
type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** The definition of a type of event, from the catalogue or the application's own. */
export interface EventDefinition<Data = object> {
  readonly level: Level;
  /** One of the catalogue's, or the application's own: `[a-z0-9_.:-]`, at most 40 characters. */
  readonly category: string;
  /** The outcome if the call does not state one. */
  readonly outcome: Outcome;
  readonly durability: Durability;
  /** One sentence for people who read the log. */
  readonly description: string;
  /** Types the data of a call and checks it at run time. Data that do not fit are recorded and flagged. */
  readonly schema?: EventSchema<Data>;
  /** Level and outcome, where the data decide them. Must be quick and must not throw. */
  refine?(data: Data): { readonly level?: Level; readonly outcome?: Outcome } | undefined;
}

/** Definitions by type, as `defineEvents` returns them. */
export type EventDefinitions = { readonly [type: string]: EventDefinition };

const TYPE_NAME = /^[a-z0-9_.:-]{1,100}$/;

/** Whether `type` has the form of an event's type: 1 to 100 characters of `[a-z0-9_.:-]`. */
export function isEventTypeName(type: string): boolean {
  return TYPE_NAME.test(type);
}

const NO_DATA: readonly string[] = [];

/**
 * The issues that a definition's schema finds in an event's data, in words, without the values; empty if it finds none.
 * Never throws: a schema that throws or returns a promise is itself an issue.
 */
export function dataIssues(definition: EventDefinition, data: unknown): readonly string[] {
  const schema = definition.schema;
  if (schema === undefined) return NO_DATA;
  try {
    const result = schema["~standard"].validate(data ?? {});
    if (isPromise(result)) {
      result.catch(() => {});
      return ["the schema is asynchronous and was not applied"];
    }
    if (result.issues === undefined) return NO_DATA;
    return result.issues.slice(0, 5).map((issue) => {
      const path = issue.path?.map((step) => String(typeof step === "object" ? step.key : step)).join(".");
      return `data${path ? `.${path}` : ""}: ${issue.message}`;
    });
  } catch (thrown) {
    return [`the schema threw: ${errorMessage(thrown)}`];
  }
}
