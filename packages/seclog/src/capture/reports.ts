import type { IncomingMessage, ServerResponse } from "node:http";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { fetchText, nodeText } from "./bounded-body.ts";
import { Capture, type CaptureLog } from "./capture.ts";
import type { CaptureFacts } from "./capture-facts.ts";

export type { CaptureLog } from "./capture.ts";

/** Options of {@link cspReports}. */
export interface CspReportsOptions {
  /** The most bytes of one request's body; a longer one is refused with 413. @default 65536 */
  readonly maxBytes?: number | undefined;
  /** Whether equal reports become one event with a `count`: `fold` of a capture. @default true */
  readonly fold?: boolean | undefined;
}

/** A handler for Node's requests, Express's, and the Fetch API's. */
export interface CspReportsHandler {
  (request: Request): Promise<Response>;
  (request: IncomingMessage, response: ServerResponse, next?: unknown): Promise<void>;
}

/** So many reports of one request count; a browser sends a few. */
const MOST_REPORTS = 20;
const LONGEST = 500;

type Fields = { readonly [name: string]: unknown };

/**
 * The endpoint to which browsers report what a Content Security Policy has blocked, by `report-uri` and by the Reporting
 * API (`report-to`): each violation is recorded as `malicious_csp_violation`.
 *
 * ```ts
 * app.post("/csp", cspReports(security));
 * ```
 *
 * It takes Node's request and response (Express, `node:http`), or a Fetch `Request` (Hono, Next), and answers 204. It reads
 * a bounded body, or takes one that the framework has parsed. Anyone can send such a report: it proves nothing. URLs lose
 * their query, and other kinds of reports are ignored.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown option
 */
export function cspReports(log: CaptureLog, options: CspReportsOptions = {}): CspReportsHandler {
  rejectUnknownOptions("cspReports", options, ["maxBytes", "fold"]);
  const maxBytes = wholeNumber("cspReports", "maxBytes", options.maxBytes, {
    default: 65_536,
    min: 1,
    max: 10_000_000,
  });
  const { fold } = options;
  if (fold !== undefined && typeof fold !== "boolean") {
    throw configError("cspReports", "fold", `must be true or false, not ${String(fold)}`);
  }
  const capture = new Capture(log, { fold });
  const record = (request: object, body: unknown): void => {
    for (const facts of violationsIn(body)) capture.record("csp", request, facts);
  };
  return (async (request: Request | NodeRequest, response?: ServerResponse) => {
    if (response === undefined) return await answerFetch(request as Request, maxBytes, record);
    const { body } = request as NodeRequest;
    const text = body === undefined ? await nodeText(request as NodeRequest, maxBytes) : undefined;
    if (body !== undefined || text !== undefined) record(request, body ?? parsed(text));
    response.statusCode = statusOf(request.method, body !== undefined || text !== undefined);
    // What is left of a long body is not read.
    if (response.statusCode === 413) response.setHeader("connection", "close");
    response.end();
    return undefined;
  }) as CspReportsHandler;
}

type NodeRequest = IncomingMessage & { readonly body?: unknown };

async function answerFetch(
  request: Request,
  maxBytes: number,
  record: (request: object, body: unknown) => void,
): Promise<Response> {
  const text = await fetchText(request.body, maxBytes);
  if (text !== undefined) record(request, parsed(text));
  return new Response(null, { status: statusOf(request.method, text !== undefined) });
}

function statusOf(method: string | undefined, whole: boolean): number {
  if (method !== "POST") return 405;
  return whole ? 204 : 413;
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

/** The violations in a body: one of `report-uri`, or the list of the Reporting API. */
function violationsIn(body: unknown): readonly CaptureFacts[] {
  // A parser of raw bodies leaves bytes or a text.
  const whole = typeof body === "string" || Buffer.isBuffer(body) ? parsed(String(body)) : body;
  const reports = (Array.isArray(whole) ? whole : [whole]).slice(0, MOST_REPORTS) as readonly unknown[];
  return reports.flatMap((report) => {
    const { type, body: inner, "csp-report": old } = Object(report) as Fields;
    if (typeof old === "object" && old !== null) return [violation(old as Fields)];
    return type === "csp-violation" && typeof inner === "object" && inner !== null ? [violation(inner as Fields)] : [];
  });
}

/** The names of CSP 1 to 3 differ: `blocked-uri` in a body of its own, `blockedURL` in the Reporting API. */
function violation(report: Fields): CaptureFacts {
  const directive = text(report["effectiveDirective"] ?? report["effective-directive"] ?? report["violated-directive"]);
  return {
    effective_directive: directive?.split(" ", 1)[0],
    blocked_uri: url(report["blockedURL"] ?? report["blocked-uri"]),
    document_uri: url(report["documentURL"] ?? report["document-uri"]),
    source_uri: url(report["sourceFile"] ?? report["source-file"]),
    line: number(report["lineNumber"] ?? report["line-number"]),
    disposition: text(report["disposition"]),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, LONGEST) : undefined;
}

/** The vocabulary asks for it without query and fragment; `data:` URLs have the whole resource. */
function url(value: unknown): string | undefined {
  const whole = text(value);
  if (whole === undefined) return undefined;
  return /^data:/i.test(whole) ? "data:" : whole.replace(/[?#].*$/s, "");
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
}
