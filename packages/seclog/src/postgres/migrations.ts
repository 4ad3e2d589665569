import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/** A numbered change of the schema: a plain SQL file in `migrations/`. */
export interface Migration {
  readonly id: number;
  /** The file's name. */
  readonly name: string;
  /** An older program cannot work on the schema any more. The file's first line is then `--! breaking`. */
  readonly breaking: boolean;
  readonly sql: string;
  /** SHA-256 of the file, hexadecimal: an applied migration is never edited. */
  readonly checksum: string;
}

let loaded: readonly Migration[] | undefined;

/** All migrations that this program knows, in order. */
export function migrations(): readonly Migration[] {
  loaded ??= readMigrations(new URL("./migrations/", import.meta.url));
  return loaded;
}

let privileges: string | undefined;

/** Who may do what, for every setup to put right: `privileges.sql`, which is no migration because it is run each time. */
export function privilegesSql(): string {
  privileges ??= readFileSync(new URL("./privileges.sql", import.meta.url), "utf8");
  return privileges;
}

/** Reads `0001-name.sql`, `0002-name.sql`, …: numbered from 1 without a hole. */
export function readMigrations(directory: URL): readonly Migration[] {
  const names = readdirSync(directory)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return names.map((name, index) => {
    const id = Number(name.slice(0, 4));
    if (id !== index + 1) throw new Error(`${name} should be number ${index + 1}`);
    const sql = readFileSync(new URL(name, directory), "utf8");
    const checksum = createHash("sha256").update(sql).digest("hex");
    return { id, name, breaking: sql.startsWith("--! breaking\n"), sql, checksum };
  });
}
