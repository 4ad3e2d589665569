/** Whether the record that a page shows is the one that was sealed. */

/** Columns of the proof that a record need not show. */
const NOT_SHOWN: ReadonlySet<string> = new Set(["retention"]);

/** The columns that differ between the shown record and the proven one. The server's word `odd` excuses none of them. */
export function differencesOf(shown: object, proven: { readonly [column: string]: unknown }): readonly string[] {
  const given = new Map<string, unknown>(Object.entries(shown));
  given.delete("odd");
  const names = new Set([...given.keys(), ...Object.keys(proven)]);
  return [...names].filter(
    (name) =>
      !(NOT_SHOWN.has(name) && !given.has(name)) && canonical(given.get(name)) !== canonical(proven[name] ?? undefined),
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
