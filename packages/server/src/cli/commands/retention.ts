import type { Command } from "commander";
import { SeclogError } from "seclog";
import { DEFAULT_CLASS, listClasses, type RetentionClass, requireClass, setClasses } from "../../retention/classes.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { quoted } from "../../text/words.ts";
import { withOwner } from "../connections.ts";
import { DATABASE_OPTION } from "../options/removal.ts";

interface RetentionOptions {
  readonly allowUnknown?: true;
  readonly database?: string;
  readonly json?: true;
}

/** `seclog retention`. */
export function addRetention(command: Command): void {
  command
    .argument("[change...]", "category=class, repeatable: authn=short privilege=long")
    .option("--allow-unknown", "accept a category of your own that no event has yet")
    .option(...DATABASE_OPTION)
    .option("--json", "one JSON document")
    .action(retention);
}

async function retention(assignments: readonly string[], options: RetentionOptions): Promise<void> {
  const wanted = parseAssignments(assignments);
  const allowUnknown = options.allowUnknown === true;
  const signal = interruption();
  await withOwner(signal, options.database, async (owner) => {
    const { classes, changed } = await unlessInterrupted(
      signal,
      wanted.size === 0 ? listClasses(owner) : setClasses(owner, wanted, { allowUnknown }),
    );
    if (options.json) {
      await print(jsonLine({ default: DEFAULT_CLASS, categories: Object.fromEntries(classes), changed }));
      return;
    }
    const table = new Table<readonly [string, string]>([
      { title: "CATEGORY", value: ([category]) => category },
      { title: "CLASS", value: ([, name]) => name },
    ]);
    await print(table.lines([...classes, ["(any other)", DEFAULT_CLASS]]));
    if (changed.length > 0) {
      notice(
        `Changed and recorded: ${changed.join(", ")}. Applications apply it at their next start; stored events keep their class.`,
      );
    } else if (wanted.size > 0) notice("Nothing to change.");
  });
}

function parseAssignments(texts: readonly string[]): ReadonlyMap<string, RetentionClass> {
  const wanted = new Map<string, RetentionClass>();
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

function parseAssignment(text: string): readonly [category: string, name: RetentionClass] {
  const [, category, name] = /^([a-z0-9_.:-]{1,40})=(.*)$/.exec(text) ?? [];
  if (category === undefined || name === undefined) {
    throw new SeclogError("SECLOG_CONFIG", `${quoted(text)} sets nothing: write category=class, such as authn=short`);
  }
  return [category, requireClass(name, category)];
}
