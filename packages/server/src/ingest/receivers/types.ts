import { CATALOGUE } from "seclog";

/** The types that only a log itself records. */
export const ownTypes: ReadonlySet<string> = new Set(
  Object.entries(CATALOGUE)
    .filter(([, { category }]) => category === "log")
    .map(([type]) => type),
);
