/** Refusals of Hono's own middleware, which have no codes. */
import type { Refusal } from "../refusal.ts";
import { fieldsOf } from "../validation-errors.ts";
import type { HonoContext } from "./routes.ts";

/** The part of Hono's `HTTPException` that is read. */
interface HttpException {
  readonly status?: unknown;
  readonly message?: unknown;
  readonly res?: unknown;
}

const FORM = /^(?:application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\b/i;

/** The refusal behind an error of Hono's middleware; `undefined` for any other. */
export function honoRefusal(error: object, { req }: HonoContext): Refusal | undefined {
  const { status, message, res } = error as HttpException;
  // hono/csrf: a form from elsewhere, refused with a response and without a word.
  if (status === 403 && message === "" && res !== undefined && FORM.test(req.header("content-type") ?? "text/plain")) {
    return { detector: "csrf", facts: { reason: "origin" } };
  }
  if (status === 400 && typeof message === "string" && /^Malformed (?:JSON|FormData)\b/.test(message)) {
    return { detector: "malformed", facts: { reason: message.startsWith("Malformed JSON") ? "JSON" : "FormData" } };
  }
  return undefined;
}

/** More than a validator's answer needs. */
const LONGEST_BODY = 65_536;

/** What `@hono/zod-validator` and `@hono/standard-validator` answer: they throw nothing. Only fields' names are taken. */
export async function validatorRefusal(response: Response): Promise<Refusal | undefined> {
  const { headers } = response;
  if (!/\bjson\b/.test(headers.get("content-type") ?? "")) return undefined;
  if (Number(headers.get("content-length") ?? 0) > LONGEST_BODY) return undefined;
  const body = (await response.clone().json()) as { readonly success?: unknown; readonly error?: unknown } | null;
  if (body?.success !== false) return undefined;
  const issues = issuesOf(body.error);
  if (issues === undefined) return undefined;
  const fields = fieldsOf(issues);
  return {
    detector: "validation",
    facts: { reason: "validator", ...(fields.length > 0 && { fields }) },
    ifRefused: true,
  };
}

function issuesOf(error: unknown): readonly unknown[] | undefined {
  if (Array.isArray(error)) return error;
  const { name, issues, message } = Object(error) as {
    readonly name?: unknown;
    readonly issues?: unknown;
    readonly message?: unknown;
  };
  if (Array.isArray(issues)) return issues;
  // Zod 4 has its issues as the text of its message.
  if (name !== "ZodError" || typeof message !== "string") return undefined;
  const parsed: unknown = JSON.parse(message);
  return Array.isArray(parsed) ? parsed : undefined;
}
