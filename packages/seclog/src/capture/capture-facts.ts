/** The facts that capture adds to an event. */
export type CaptureFacts = { readonly [key: string]: unknown };
