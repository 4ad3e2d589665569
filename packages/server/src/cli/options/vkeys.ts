import { readFileSync } from "node:fs";
import { readVkey, type Vkey } from "@seclog/verify";
import { errorMessage, SeclogError } from "seclog";

/** The log's keys. @throws SeclogError `SECLOG_CONFIG` */
export function readKeys(texts: readonly string[]): Vkey[] {
  const keys = texts.map((text) => {
    try {
      return readVkey(text.trim());
    } catch (error) {
      throw new SeclogError("SECLOG_CONFIG", `--vkey: ${errorMessage(error)}`);
    }
  });
  const [first] = keys;
  for (const key of keys) {
    if (key.kind === "witness")
      throw new SeclogError("SECLOG_CONFIG", `--vkey ${key.text} is a witness's key, and no log's`);
    if (key.name !== first?.name) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `the keys named are of two logs, ${first?.name} and ${key.name}: verify one at a time`,
      );
    }
  }
  return keys;
}

/** A file's text; `-` is standard input. @throws SeclogError `SECLOG_CONFIG` */
export function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `${file} cannot be read: ${errorMessage(error)}`);
  }
}
