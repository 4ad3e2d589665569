/** Parameters of requests: declared once, for reading them and for the OpenAPI document. */
import { SeclogError } from "seclog";
import { quoted } from "../text/words.ts";

/** A parameter. */
export type Parameter =
  | {
      readonly type: "string";
      readonly about: string;
      readonly in?: "path";
      readonly required?: true;
      readonly default?: string;
    }
  | {
      readonly type: "integer";
      readonly about: string;
      readonly minimum: number;
      readonly maximum: number;
      readonly default: number;
    }
  | {
      readonly type: "choice";
      readonly about: string;
      readonly in?: "path";
      readonly values: readonly string[];
      readonly default?: string;
    };

/** The parameters of a path, by name. */
export type Parameters = { readonly [name: string]: Parameter };

/** The values of a request: numbers for integers; `undefined` for what was left out and has no default. */
export type Values<P extends Parameters> = {
  readonly [N in keyof P]: P[N] extends { readonly type: "integer" }
    ? number
    : P[N] extends { readonly default: string } | { readonly required: true } | { readonly in: "path" }
      ? string
      : string | undefined;
};

/** Reads a request's parameters. @throws SeclogError `SECLOG_CONFIG` for an unknown, repeated or wrong one */
export function readParameters<P extends Parameters>(
  declared: P,
  query: URLSearchParams,
  path: { readonly [name: string]: string },
): Values<P> {
  for (const name of new Set(query.keys())) {
    if (declared[name] === undefined || (declared[name].type !== "integer" && declared[name].in === "path"))
      throw refusal(`unknown parameter ${quoted(name)}: there are ${Object.keys(declared).join(", ")}`);
    if (query.getAll(name).length > 1) throw refusal(`${name} is given twice: give it once`);
  }
  const values = Object.entries(declared).map(([name, parameter]) => [
    name,
    readOne(name, parameter, path[name] ?? query.get(name)),
  ]);
  return Object.fromEntries(values) as Values<P>;
}

function readOne(name: string, parameter: Parameter, text: string | null): string | number | undefined {
  if (text === null) {
    if (parameter.type === "string" && parameter.required) throw refusal(`${name} is missing: ${parameter.about}`);
    return parameter.default;
  }
  switch (parameter.type) {
    case "string":
      return text;
    case "choice":
      if (parameter.values.includes(text)) return text;
      throw refusal(`${name} ${quoted(text)} is not one of ${parameter.values.join(", ")}`);
    case "integer": {
      const value = Number(text);
      if (/^\d{1,15}$/.test(text) && value >= parameter.minimum && value <= parameter.maximum) return value;
      throw refusal(`${name} ${quoted(text)} is not a number from ${parameter.minimum} to ${parameter.maximum}`);
    }
  }
}

function refusal(message: string): SeclogError {
  return new SeclogError("SECLOG_CONFIG", message);
}
