/** Records of Django's own loggers: what they report is known by the logger and the response's status. */

/** What a record of Django means. */
export interface DjangoEvent {
  readonly type: string;
  readonly data: { readonly [name: string]: unknown };
}

/** The loggers `django.security.*` that have a type of their own; the others are input that Django refused. */
const SUSPICIOUS: { readonly [exception: string]: string } = {
  csrf: "malicious_csrf",
  DisallowedHost: "host_header_rejected",
  SuspiciousFileOperation: "malicious_direct_reference",
};

/** What `django.request` reports, by the response's status. */
const STATUSES: ReadonlyMap<number, string> = new Map([
  [400, "input_validation_fail"],
  [401, "unauthenticated_request"],
  [403, "authz_fail"],
  [405, "illegal_request_method"],
  [413, "input_validation_fail"],
  [429, "excess_rate_limit_exceeded"],
  [500, "sys_error"],
]);

/**
 * The event of a record; `undefined` if it is not one of Django's about security.
 *
 * @param error the class of the exception that the record carries
 */
export function djangoEvent(
  logger: string,
  status: number | undefined,
  message: string,
  error: string | undefined,
): DjangoEvent | undefined {
  const [, exception] = /^django\.security\.(\w+)$/.exec(logger) ?? [];
  if (exception !== undefined) {
    const type = Object.hasOwn(SUSPICIOUS, exception) ? SUSPICIOUS[exception] : undefined;
    // "Forbidden (CSRF cookie not set.): /transfer"
    const reason = exception === "csrf" ? /^Forbidden \((.*?)\)(?::|$)/s.exec(message)?.[1] : exception;
    return { type: type ?? "input_validation_fail", data: { reason } };
  }
  const type = logger === "django.request" && status !== undefined ? STATUSES.get(status) : undefined;
  return type === undefined ? undefined : { type, data: error === undefined ? {} : { reason: error } };
}

/** Method and target of a request as text: `<WSGIRequest: POST '/transfer?to=bob'>`. */
export function djangoRequest(text: string | undefined): { readonly method?: string; readonly path?: string } {
  const [, method, , path] = /^<\w+Request: ([A-Z]+) (['"])(.*)\2>$/s.exec(text ?? "") ?? [];
  return method === undefined || path === undefined ? {} : { method, path };
}
