/** What is stored in place of a secret. */
export const REDACTED = "[redacted]";
