/** Next throws to redirect, to answer 404, 403 or 401, and to stop prerendering: none of these is a failure. */
export function isControlFlow(error: unknown): boolean {
  const digest: unknown = (Object(error) as { readonly digest?: unknown }).digest;
  return typeof digest === "string" && /^(?:NEXT_|DYNAMIC_SERVER_USAGE|BAILOUT_TO_CLIENT|HANGING_PROMISE)/.test(digest);
}
