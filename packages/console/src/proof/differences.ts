/** Whether the record that a page shows is the one that was sealed. */

/** Columns of the proof that no record shows. */
const NOT_SHOWN: ReadonlySet<string> = new Set(["retention"]);

/** The columns that differ between the shown record and the proven one; those named by `odd` cannot be compared. */
export function differencesOf(shown: object, proven: { readonly [column: string]: unknown }): readonly string[] {
  const given = new Map<string, unknown>(Object.entries(shown));
  const odd = given.get("odd");
  const skipped = new Set<unknown>(Array.isArray(odd) ? odd : []);
  given.delete("odd");
  const names = new Set([...given.keys(), ...Object.keys(proven)]);
  return [...names].filter(
    (name) =>
      !NOT_SHOWN.has(name) && !skipped.has(name) && canonical(given.get(name)) !== canonical(proven[name] ?? undefined),
  );
}

/** JSON with the members of each object in the order of their names. */
function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)))
      : member,
  );
}
