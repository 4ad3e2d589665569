/**
 * The library's SQL as TypeScript modules. The `.sql` files are the source; an application's bundle has no folder of
 * them beside its code, and a file tracer does not notice that one is read.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./files.js";

const FOLDER = join(root, "packages", "seclog", "src", "postgres");

/**
 * Writes two modules, one beside the SQL and one beside the handler, where they differ. The list of migrations, all
 * that a handler needs, is apart from their text, which would otherwise be in every application's bundle.
 */
export function writeSqlModules() {
  const migrations = readMigrations(join(FOLDER, "schema", "migrations"));
  write("known-migrations.generated.ts", "./schema-version.ts", "KnownMigration", {
    "KNOWN_MIGRATIONS: readonly KnownMigration[]": migrations.map(({ sql: _, ...known }) => known),
  });
  write("schema/sql.generated.ts", "../schema-version.ts", "Migration", {
    "MIGRATIONS: readonly Migration[]": migrations,
    "OWNERSHIP_SQL: string": readFileSync(join(FOLDER, "schema", "ownership.sql"), "utf8"),
    "PRIVILEGES_SQL: string": readFileSync(join(FOLDER, "schema", "privileges.sql"), "utf8"),
  });
}

/** Reads `0001-name.sql`, `0002-name.sql`, …: numbered from 1 without a gap. */
function readMigrations(folder) {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return names.map((name, index) => {
    const id = Number(name.slice(0, 4));
    if (id !== index + 1) throw new Error(`${name} should be number ${index + 1}`);
    const sql = readFileSync(join(folder, name), "utf8");
    const checksum = createHash("sha256").update(sql).digest("hex");
    return { id, name, breaking: sql.startsWith("--! breaking\n"), checksum, sql };
  });
}

function write(name, types, type, constants) {
  const text = [
    "/** Written by scripts/sql-modules.js from the SQL files beside it. */",
    `import type { ${type} } from "${types}";\n`,
    ...Object.entries(constants).map(
      ([name, value]) => `export const ${name} = ${JSON.stringify(value, undefined, 2)};\n`,
    ),
  ].join("\n");
  const path = join(FOLDER, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
