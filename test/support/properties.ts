/**
 * fast-check, which tries the same values in every run, so that a change is not blamed for what chance found: to search for more,
 * set `SECLOG_SEED` to another number, or to `random`. What a search finds becomes a test of its own.
 */
import fc from "fast-check";

const seed = process.env["SECLOG_SEED"] ?? "1";
if (seed !== "random") fc.configureGlobal({ seed: Number(seed) });

export { fc };
