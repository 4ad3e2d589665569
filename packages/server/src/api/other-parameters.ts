/** The parameters of the paths that return something else than JSON, or do something. */
import { DOWNLOAD_FORMATS } from "./download.ts";

export const EXPORT_PARAMETERS = {
  q: { type: "string", about: "a query; everything by default" },
  since: { type: "string", about: "the start: 1d, 6h, 2026-11-22T10:30Z" },
  until: { type: "string", about: "the end, in the same forms; now by default" },
  format: {
    type: "choice",
    values: DOWNLOAD_FORMATS as readonly string[],
    default: "ndjson",
    about: "how events are written",
  },
} as const;

export const VERIFICATION_PARAMETERS = {
  vkey: { type: "string", about: "public keys of the log, oldest first, with spaces between them" },
} as const;
