/** The OpenAPI 3.1 document, from the table of paths. */

import { EXPORT_PARAMETERS, VERIFICATION_PARAMETERS } from "./other-parameters.ts";
import type { Parameter } from "./parameters.ts";
import { ROUTES } from "./routes.ts";
import { SCHEMAS, type Schema } from "./schemas.ts";

/** Describes the API. @param version the program's */
export function openApi(version: string): Schema {
  const failure = { description: "why not", content: json("ApiFailure") };
  const paths = ROUTES.map(({ path, about, parameters, returns }) => [
    `/api/v1${path}`,
    {
      get: {
        operationId: path.slice(1).replace(/\W+/g, "_").replace(/_$/, ""),
        summary: about,
        parameters: Object.entries(parameters).map(([name, parameter]) => parameterSchema(name, parameter)),
        responses: { 200: { description: about, content: json(returns) }, default: failure },
      },
    },
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Seclog",
      version,
      description: "Reads a security event log. docs/design/console-api.md has the promises.",
    },
    security: [{ token: [] }],
    paths: {
      ...Object.fromEntries(paths),
      "/api/v1/session": { get: SESSION },
      "/api/v1/export": { get: EXPORT },
      "/api/v1/verification": VERIFICATION,
      "/api/v1/stream": { get: STREAM },
    },
    components: { schemas: SCHEMAS, securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  };
}

const SESSION: Schema = {
  operationId: "session",
  summary: "who is signed in, and what they may; also when nobody is",
  responses: { 200: { description: "a session, or none", content: json("SessionResult") } },
};

const EXPORT: Schema = {
  operationId: "export",
  summary: "the events that match, as a file of any size",
  parameters: Object.entries(EXPORT_PARAMETERS).map(([name, parameter]) => parameterSchema(name, parameter)),
  responses: { 200: { description: "a file", content: { "*/*": { schema: { type: "string" } } } } },
};

const VERIFICATION: Schema = {
  get: {
    operationId: "verification",
    summary: "how far the verification is, or how the last one ended",
    responses: { 200: { description: "its state", content: json("VerificationState") } },
  },
  post: {
    operationId: "start_verification",
    summary: "starts a verification, unless one is running",
    parameters: Object.entries(VERIFICATION_PARAMETERS).map(([name, parameter]) => parameterSchema(name, parameter)),
    responses: { 202: { description: "its state", content: json("VerificationState") } },
  },
};

const STREAM: Schema = {
  operationId: "stream",
  summary: "new events as they arrive, as server-sent events: `events` with an array, `gap` if some may be missing",
  parameters: [
    { name: "q", in: "query", schema: { type: "string" }, description: "a query; everything by default" },
    { name: "Last-Event-ID", in: "header", schema: { type: "string" }, description: "goes on after this" },
  ],
  responses: { 200: { description: "a stream", content: { "text/event-stream": { schema: { type: "string" } } } } },
};

function json(name: string): Schema {
  return { "application/json": { schema: { $ref: `#/components/schemas/${name}` } } };
}

function parameterSchema(name: string, parameter: Parameter): Schema {
  const isPath = parameter.type !== "integer" && parameter.in === "path";
  const schema =
    parameter.type === "choice"
      ? { type: "string", enum: parameter.values, default: parameter.default }
      : parameter.type === "integer"
        ? { type: "integer", minimum: parameter.minimum, maximum: parameter.maximum, default: parameter.default }
        : { type: "string", default: parameter.default };
  return {
    name,
    in: isPath ? "path" : "query",
    required: isPath || (parameter.type === "string" && parameter.required === true),
    description: parameter.about,
    schema,
  };
}
