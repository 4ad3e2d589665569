/** Responses to requests that are refused, or that failed. */
import { type ApiFailure, QueryError } from "@seclog/api";
import { SeclogError } from "seclog";
import { databaseError } from "../database/failure.ts";
import { Busy } from "../users/password.ts";
import { NotFound } from "./routes.ts";

/** What went wrong, without what a client must not see. @param onError receives the rest */
export function failureOf(error: Error, onError: (error: unknown) => void): Response {
  if (error instanceof NotFound) return failed(404, "NOT_FOUND", error.message);
  if (error instanceof Busy) return failed(503, "BUSY", `${error.message}: try again`, { "retry-after": "5" });
  const known = databaseError(error, "reader");
  if (!(known instanceof SeclogError)) {
    onError(known);
    return failed(500, "INTERNAL", "internal error");
  }
  const { code, message, cause } = known;
  if (code === "SECLOG_QUERY" && cause instanceof QueryError) {
    const { at, length, suggestion } = cause;
    return failed(400, code, message, {}, { at, length, ...(suggestion === undefined ? {} : { suggestion }) });
  }
  if (code === "SECLOG_CONFIG") return failed(400, code, message);
  if (code === "SECLOG_PROOF") return failed(404, code, message);
  onError(known);
  // The message of a database may quote what the client must not see.
  return failed(503, code, "the database is unavailable, or refused: see the server's output", { "retry-after": "5" });
}

/** A refusal in a sentence. */
export function failed(
  status: number,
  code: string,
  message: string,
  headers: { readonly [name: string]: string } = {},
  more: Omit<ApiFailure["error"], "code" | "message"> = {},
): Response {
  const body: ApiFailure = { error: { code, message, ...more } };
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
