import type { Command } from "commander";
import type pg from "pg";
import { CATALOGUE, SeclogError } from "seclog";
import { databaseError } from "../../database/failure.ts";
import { OwnerConnection } from "../../database/owner.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, note, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { suggestions } from "../../text/suggest.ts";
import { quoted } from "../../text/words.ts";
import { DATABASE_OPTION, parseClass } from "../options/removal.ts";

interface RetentionOptions {
  readonly allowUnknown?: true;
  readonly database?: string;
  readonly json?: true;
}

/** `seclog retention`. */
export function addRetention(program: Command): void {
  program
    .command("retention")
    .description("list how long each category of events is kept, or set it")
    .argument("[change...]", "category=class, any number of them: authn=short privilege=long")
    .option("--allow-unknown", "also a category of your own that no event has yet")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(retention);
}

/** What a category has that nobody has set. */
const DEFAULT_CLASS = "standard";

async function retention(assignments: readonly string[], options: RetentionOptions): Promise<void> {
  const wanted = parseAssignments(assignments);
  const signal = interruption();
  const owner = await unlessInterrupted(signal, OwnerConnection.open(options.database));
  try {
    const { classes, changed } = await unlessInterrupted(
      signal,
      owner.transaction(wanted.size === 0 ? "ROLLBACK" : "COMMIT", async (client) => {
        const { rows } = await client.query<{ category: string; retention: string }>(
          "SELECT category, retention FROM public.security_event_retention",
        );
        const kept = new Map(Object.values(CATALOGUE).map(({ category }) => [category, DEFAULT_CLASS]));
        for (const row of rows) kept.set(row.category, row.retention);
        if (options.allowUnknown !== true) await refuseUnknown(client, [...wanted.keys()], [...kept.keys()]);
        const differing: string[] = [];
        for (const [category, name] of wanted) {
          if ((kept.get(category) ?? DEFAULT_CLASS) === name) continue;
          await client.query("SELECT public.seclog_keep($1, $2)", [category, name]);
          kept.set(category, name);
          differing.push(category);
        }
        return { classes: new Map([...kept].sort(([a], [b]) => (a < b ? -1 : 1))), changed: differing };
      }),
    );
    if (options.json)
      await print(jsonLine({ default: DEFAULT_CLASS, categories: Object.fromEntries(classes), changed }));
    else {
      const table = new Table<readonly [string, string]>([
        { title: "CATEGORY", value: ([category]) => category },
        { title: "CLASS", value: ([, name]) => name },
      ]);
      await print(table.lines([...classes, ["(any other)", DEFAULT_CLASS]]));
      if (changed.length > 0) {
        note(
          `Changed, and on record: ${changed.join(", ")}. Applications take it over at their next start; what is stored stays where it is.`,
        );
      } else if (wanted.size > 0) note("Nothing had to be changed.");
    }
  } catch (error) {
    throw databaseError(error, "admin");
  } finally {
    if (!signal.aborted) await owner.close();
  }
}

/**
 * A misspelt category would be on record, and keep nothing. Known are those of the catalogue, those that were set before,
 * and those of the last month's events: to look through all of them could take hours.
 *
 * @throws SeclogError `SECLOG_CONFIG`
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
    const advice = like === undefined ? `the categories are ${known.join(", ")}.` : `did you mean ${like}?`;
    throw new SeclogError(
      "SECLOG_CONFIG",
      `there is no category ${quoted(category)}: ${advice} For a category of your own events add --allow-unknown`,
    );
  }
}

function parseAssignments(texts: readonly string[]): ReadonlyMap<string, string> {
  const wanted = new Map<string, string>();
  for (const [category, name] of texts.map(parseAssignment)) {
    const before = wanted.get(category);
    if (before !== undefined) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `${quoted(category)} is set twice, to ${before} and to ${name}: name each category once`,
      );
    }
    wanted.set(category, name);
  }
  return wanted;
}

function parseAssignment(text: string): readonly [category: string, name: string] {
  const [, category, name] = /^([a-z0-9_.:-]{1,40})=(.*)$/.exec(text) ?? [];
  if (category === undefined || name === undefined) {
    throw new SeclogError("SECLOG_CONFIG", `${quoted(text)} sets nothing: write category=class, such as authn=short`);
  }
  return [category, parseClass(category, name)];
}
