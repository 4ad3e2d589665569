import { isPromise } from "node:util/types";
import type { Durability } from "./durability.ts";
import { errorMessage } from "./errors.ts";
import type { Outcome } from "./event.ts";
import type { Level } from "./level.ts";

/**
 * The part of Standard Schema 1 (https://standardschema.dev) that is called. Zod, Valibot, ArkType and others
 * implement it; `validate` must answer at once, because the request does not wait for a promise.
 */
export interface EventSchema<Data = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>;
    readonly types?: { readonly input: Data; readonly output: unknown } | undefined;
  };
}

/** What a schema says about a value: no issues, or what is wrong with it. */
type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** What the log knows about a type of event, be it the catalogue's or the application's own. */
export interface EventDefinition<Data = object> {
  readonly level: Level;
  /** One of the catalogue's, or the application's own: `[a-z0-9_.:-]`, at most 40 characters. */
  readonly category: string;
  /** What became of it when the call does not say. */
  readonly outcome: Outcome;
  readonly durability: Durability;
  /** One sentence for people who read the log. */
  readonly description: string;
  /** Types the data of a call and checks it at run time: what does not fit is recorded and flagged. */
  readonly schema?: EventSchema<Data>;
  /** Level and outcome where the data decide them. Must be quick and must not throw. */
  refine?(data: Data): { readonly level?: Level; readonly outcome?: Outcome } | undefined;
}

/** Definitions by type, as `defineEvents` gives them. */
export type EventDefinitions = { readonly [type: string]: EventDefinition };

const TYPE_NAME = /^[a-z0-9_.:-]{1,100}$/;

/** Whether `type` has the form of an event's type: 1 to 100 characters of `[a-z0-9_.:-]`. */
export function isEventTypeName(type: string): boolean {
  return TYPE_NAME.test(type);
}

const NO_DATA: readonly string[] = [];

/**
 * What is wrong with an event's data by its definition's schema, in words without the values; empty when nothing
 * is. Never throws: a schema that throws or answers with a promise is itself what is wrong.
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
