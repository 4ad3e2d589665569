/**
 * Which fields a library of schemas refused, and why an upload was. Names only: the values are the client's, and may be
 * passwords.
 */

/** A step of a path: a key, or an object that holds it (Valibot, Standard Schema). */
type Step = PropertyKey | { readonly key?: unknown };

interface Issue {
  /** Zod, Valibot, ArkType, Joi, Standard Schema. */
  readonly path?: unknown;
  /** Ajv and TypeBox. */
  readonly instancePath?: unknown;
  readonly params?: { readonly missingProperty?: unknown; readonly requiredProperties?: unknown };
  /** class-validator, which lists the issues of an object's members below it. */
  readonly property?: unknown;
  readonly children?: unknown;
}

interface ValidationError {
  readonly name?: unknown;
  readonly issues?: unknown;
  readonly inner?: unknown;
  readonly details?: unknown;
  readonly errors?: unknown;
  readonly path?: unknown;
  readonly arkErrors?: unknown;
  /** Ajv marks its errors, which have no name. */
  readonly ajv?: unknown;
  /** TypeBox 1 has its issues here, with the value; earlier ones have the first issue in `error`. */
  readonly cause?: unknown;
  readonly error?: unknown;
}

const MOST_FIELDS = 20;

/**
 * The fields that a schema refused, sorted as the library lists them; empty where it names none; `undefined` for an
 * error of another kind. May throw for an error whose getters do.
 */
export function validationFields(error: object): readonly string[] | undefined {
  const { name, issues, inner, details, errors, path, arkErrors, ajv } = error as ValidationError;
  if (ajv === true) return fieldsOf(errors);
  // class-validator rejects with its list.
  if (Array.isArray(error)) return isClassValidators(error) ? fieldsOf(error) : undefined;
  switch (name) {
    // Zod 3 and 4; its own core; Valibot; Standard Schema's.
    case "ZodError":
    case "$ZodError":
    case "ValiError":
    case "SchemaError":
      return fieldsOf(issues);
    case "TraversalError":
      return fieldsOf(arkErrors);
    // Yup lists its errors in `inner`, Joi in `details`, Mongoose by field in `errors`.
    case "ValidationError":
      if (Array.isArray(inner) && inner.length > 0) return fieldsOf(inner);
      if (Array.isArray(details)) return fieldsOf(details);
      if (typeof path === "string") return [path];
      return typeof errors === "object" && errors !== null && !Array.isArray(errors) ? keysOf(errors) : [];
    case "StructError":
      return Array.isArray(path) ? fieldsOf([{ path }]) : [];
    default:
      // Celebrate: a map from the part of the request to Joi's error.
      if (details instanceof Map) return celebrated(details);
      // routing-controllers has class-validator's list in its error.
      return isClassValidators(errors) ? fieldsOf(errors) : typeBoxFields(error);
  }
}

function isClassValidators(issues: unknown): boolean {
  if (!Array.isArray(issues) || issues.length === 0) return false;
  return (issues as readonly unknown[]).every((issue) => {
    const { property, children, constraints } = Object(issue) as Issue & { readonly constraints?: unknown };
    return typeof property === "string" && (Array.isArray(children) || typeof constraints === "object");
  });
}

function typeBoxFields({ cause, error }: ValidationError): readonly string[] | undefined {
  const { source, errors } = Object(cause) as { readonly source?: unknown; readonly errors?: unknown };
  if (typeof source === "string" && Array.isArray(errors)) return fieldsOf(errors);
  const { path, schema } = Object(error) as { readonly path?: unknown; readonly schema?: unknown };
  return typeof path === "string" && typeof schema === "object" ? fieldsOf([{ instancePath: path }]) : undefined;
}

function celebrated(details: ReadonlyMap<unknown, unknown>): readonly string[] {
  return [...details.values()].flatMap((joi) => fieldsOf((joi as { readonly details?: unknown }).details));
}

/** The fields that a list of issues names. */
export function fieldsOf(issues: unknown): readonly string[] {
  if (!isList(issues)) return [];
  const fields = new Set<string>();
  for (const issue of Array.from(issues).slice(0, MOST_FIELDS) as Issue[]) {
    for (const field of namedBy(issue)) if (field !== "" && fields.size < MOST_FIELDS) fields.add(field);
  }
  return [...fields];
}

/** The fields of one issue: several where members are missing, or objects within. */
function namedBy(issue: Issue): readonly string[] {
  const { property, children, instancePath, params } = issue;
  if (typeof property === "string" && Array.isArray(children) && children.length > 0) {
    return fieldsOf(children).map((field) => `${property}.${field}`);
  }
  const missing = params?.requiredProperties;
  if (typeof instancePath !== "string" || !Array.isArray(missing)) return [fieldOf(issue)];
  return missing.map((name) => fieldOf({ instancePath, params: { missingProperty: name } }));
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (typeof value === "object" && value !== null && "length" in value);
}

function fieldOf({ path, instancePath, params, property }: Issue): string {
  if (typeof property === "string") return property;
  if (typeof instancePath === "string") {
    const missing = params?.missingProperty;
    return `${instancePath.slice(1)}${typeof missing === "string" ? `/${missing}` : ""}`.replace(/^\//, "");
  }
  if (typeof path === "string") return path;
  if (!isList(path)) return "";
  return (Array.from(path) as Step[])
    .map((step) => String(typeof step === "object" && step !== null ? step.key : step))
    .join(".");
}

function keysOf(value: object): readonly string[] {
  return Object.keys(value).slice(0, MOST_FIELDS);
}

interface UploadError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly field?: unknown;
}

/** `@fastify/multipart`, @fastify/busboy. */
const MULTIPART =
  /^FST_(?:REQ_FILE_TOO_LARGE|(?:FILES|PARTS|FIELDS)_LIMIT|INVALID_MULTIPART_CONTENT_TYPE|PROTO_VIOLATION|NO_FORM_DATA|FILE_BUFFER_NOT_FOUND)$/;

/** Why an upload was refused, and the field that held it; `undefined` for any other error. */
export function uploadRefusal(
  error: object,
): { readonly reason: string; readonly fields?: readonly string[] } | undefined {
  const { name, code, field } = error as UploadError;
  if (typeof code !== "string") return undefined;
  if (name === "MulterError") return { reason: code, ...(typeof field === "string" && { fields: [field] }) };
  return MULTIPART.test(code) ? { reason: code } : undefined;
}
