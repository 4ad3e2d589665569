/** What a login form sends. */

type Fields = { readonly [name: string]: unknown };

/** What the field with the account's name is called, the most usual first. Never that of a secret. */
const NAME_FIELDS = ["username", "email", "login", "user", "identifier", "userName", "phoneNumber", "phone"] as const;

/** More than any name has; the rest would be cut anyway. */
const LONGEST = 320;

/** The account's name in the fields of a form; `undefined` if it has none. Never throws. */
export function accountName(fields: unknown): string | undefined {
  for (const field of NAME_FIELDS) {
    const name = fieldOf(fields, field);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** A field that is a text, also by the notation of forms: `user[email]`. Never throws. */
export function fieldOf(fields: unknown, path: string): string | undefined {
  let value = fields;
  try {
    for (const step of path.split(/[[\]]+/)) if (step !== "") value = (Object(value) as Fields)[step];
  } catch {
    return undefined;
  }
  return typeof value === "string" && value.trim() !== "" ? value.slice(0, LONGEST) : undefined;
}
