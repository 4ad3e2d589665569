/** The token of the log, for `@Inject(SECURITY_LOG)` and for tests that replace it. */
export const SECURITY_LOG = "SECLOG_SECURITY_LOG";

/** The token of the module's options. */
export const SECURITY_LOG_OPTIONS = "SECLOG_OPTIONS";
