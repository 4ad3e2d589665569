#!/usr/bin/env node
/**
 * Writes docs/events.md from the catalogue (`packages/seclog/src/event/catalogue.ts`). With `--check` it writes nothing
 * and fails when the page differs from the catalogue. Reads the built package.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./files.js";

const source = readFileSync(join(root, "packages/seclog/src/event/catalogue.ts"), "utf8");
const { CATALOGUE, EVENT_ALIASES: ALIASES } = await import("seclog");
const page = join(root, "docs", "events.md");
const text = eventsPage();

if (!process.argv.includes("--check")) {
  writeFileSync(page, text);
} else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/events.md differs from the catalogue: run `node scripts/events-page.js` and commit the page");
  process.exitCode = 1;
}

function eventsPage() {
  const fields = dataFields();
  const categories = new Map();
  for (const [type, definition] of Object.entries(CATALOGUE)) {
    const rows = categories.get(definition.category) ?? [];
    categories.set(definition.category, rows);
    const { level, outcome, durability, description } = definition;
    const data = (fields.get(type) ?? []).map((name) => `\`${name}\``).join(", ");
    rows.push(`| \`${type}\` | ${level} | ${outcome} | ${durability} | ${data} | ${description} |`);
  }
  const sections = [...categories].map(([category, rows]) =>
    [
      `## ${category}`,
      "",
      "| type | level | outcome | durability | data | what happened |",
      "|---|---|---|---|---|---|",
      ...rows,
      "",
    ].join("\n"),
  );
  const aliases = Object.entries(ALIASES).map(([alias, type]) => `- \`${alias}\` is recorded as \`${type}\`.`);
  return `<!-- Written by scripts/events-page.js from packages/seclog/src/event/catalogue.ts: change it there. -->

# Events

The ${Object.keys(CATALOGUE).length} types that every log knows: the 57 events of the
[OWASP logging vocabulary](https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html) under the
names that it prints, refusals for which it has no name, and the log's own events. An application adds its own types with
\`defineEvents\`.

Level and outcome are defaults: a call may set the outcome, and some types derive both from their data. A log keeps the
events of its level and above (\`info\` by default). Durability is what \`receipt.durable\` waits for: \`process\` (written to the
operating system), \`disk\` (synced), \`strict\` (the call itself returns only once the event is synced). Data lists the fields
that TypeScript checks; all are optional, and you may add others.

${sections.join("\n")}
## Other spellings

The vocabulary's own examples spell two names differently. Seclog accepts both spellings:

${aliases.join("\n")}
`;
}

/** The names of each type's data fields, as `CatalogueData` declares them. */
function dataFields() {
  const interfaces = new Map();
  for (const [, name, base, body] of source.matchAll(/^interface (\w+)(?: extends (\w+))? \{\n([\s\S]*?)^\}/gm)) {
    interfaces.set(name, [...(interfaces.get(base) ?? []), ...fieldsOf(body)]);
  }
  const catalogue = /^export interface CatalogueData \{\n([\s\S]*?)^\}/m.exec(source)?.[1] ?? "";
  const result = new Map();
  for (const [, type, expression] of catalogue.matchAll(/^ {2}(\w+): ([\s\S]*?);\n(?= {2}(?:\w|\/)|$)/gm)) {
    const named = [...expression.matchAll(/\b[A-Z]\w+\b/g)].flatMap(([name]) => interfaces.get(name) ?? []);
    result.set(type, [...new Set([...named, ...fieldsOf(expression)])]);
  }
  return result;
}

function fieldsOf(text) {
  return [...text.matchAll(/\breadonly (\w+)\?:/g)].map(([, name]) => name);
}
