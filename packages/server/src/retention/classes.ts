/** The retention class of each category: how long its events are kept. */

import { suggestions } from "@seclog/api";
import type pg from "pg";
import { CATALOGUE, SeclogError } from "seclog";
import type { OwnerConnection } from "../database/owner.ts";
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";

/** Each class has its own partitions, which `prune` drops by month. */
export const RETENTION_CLASSES = ["short", "standard", "long"] as const;

export type RetentionClass = (typeof RETENTION_CLASSES)[number];

/** The class of a category without a setting. */
export const DEFAULT_CLASS: RetentionClass = "standard";

/** Returns the class. @param category whose class it is, for the message. @throws SeclogError `SECLOG_CONFIG` */
export function requireClass(name: unknown, category?: string): RetentionClass {
  const known = RETENTION_CLASSES.find((one) => one === name);
  if (known !== undefined) return known;
  throw new InputError(
    (named) => `${category ?? named("class")} ${quoted(String(name))} is not one of ${RETENTION_CLASSES.join(", ")}`,
  );
}

/** The classes of all known categories, in alphabetical order. */
export interface CategoryClasses {
  readonly classes: ReadonlyMap<string, string>;
  /** The categories whose class this call changed. */
  readonly changed: readonly string[];
}

/** Returns the current classes. */
export async function listClasses(owner: OwnerConnection): Promise<CategoryClasses> {
  return await owner.transaction("ROLLBACK", async (client) => ({
    classes: sorted(await readClasses(client)),
    changed: [],
  }));
}

/**
 * Sets the classes of categories and records each change. Stored events keep their class.
 *
 * @throws SeclogError `SECLOG_CONFIG` for an unknown category, unless `allowUnknown`, for what cannot be a category, and
 * for an unknown class; then nothing has changed
 */
export async function setClasses(
  owner: OwnerConnection,
  wanted: ReadonlyMap<string, RetentionClass>,
  { allowUnknown = false }: { readonly allowUnknown?: boolean } = {},
): Promise<CategoryClasses> {
  for (const [category, name] of wanted) {
    if (!/^[a-z0-9_.:-]{1,40}$/.test(category)) {
      throw new SeclogError("SECLOG_CONFIG", `${quoted(category)} cannot be a category: write one such as authn`);
    }
    requireClass(name, category);
  }
  return await owner.transaction("COMMIT", async (client) => {
    const classes = await readClasses(client);
    if (!allowUnknown) await refuseUnknown(client, [...wanted.keys()], [...classes.keys()]);
    const changed: string[] = [];
    for (const [category, name] of wanted) {
      if ((classes.get(category) ?? DEFAULT_CLASS) === name) continue;
      await client.query("SELECT public.seclog_keep($1, $2)", [category, name]);
      classes.set(category, name);
      changed.push(category);
    }
    return { classes: sorted(classes), changed };
  });
}

async function readClasses(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ category: string; retention: string }>(
    "SELECT category, retention FROM public.security_event_retention",
  );
  const classes = new Map<string, string>(Object.values(CATALOGUE).map(({ category }) => [category, DEFAULT_CLASS]));
  for (const { category, retention } of rows) classes.set(category, retention);
  return classes;
}

function sorted(classes: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...classes].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Refuses unknown categories: a misspelt one would be recorded and have no effect. Known are the categories of the
 * catalogue, those set before, and those of the last month's events; searching all events could take hours.
 */
async function refuseUnknown(client: pg.Client, wanted: readonly string[], known: readonly string[]): Promise<void> {
  for (const category of wanted) {
    if (known.includes(category)) continue;
    const { rows } = await client.query(
      "SELECT FROM public.security_event_log WHERE category = $1 AND occurred_at > now() - interval '1 month' LIMIT 1",
      [category],
    );
    if (rows.length > 0) continue;
    const [like] = suggestions(category, known, 1);
    const advice = like === undefined ? `known are ${known.join(", ")}.` : `did you mean ${like}?`;
    throw new InputError(
      (named) =>
        `unknown category ${quoted(category)}: ${advice} For a category of your own, add ${named("allowUnknown")}`,
    );
  }
}
