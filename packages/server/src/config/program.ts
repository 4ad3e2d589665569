/** How the user calls this program. Every command line in its output is built here. */
import { realpathSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** Works in any folder, whether or not the package is a dependency there. */
const BY_NPX = "npx @seclog/server";

let name: string | undefined;

/**
 * A command line that works where it is printed, such as `npx @seclog/server doctor`, or `seclog doctor` if the program
 * is installed globally. The package `seclog` has no program, so `npx seclog` would fail in most applications' folders.
 */
export function commandLine(args: string): string {
  name ??= isGlobal() ? "seclog" : BY_NPX;
  return `${name} ${args}`;
}

/** Whether a shell finds us by name. Folders that npm and npx add to the path for the programs they run do not count. */
function isGlobal(): boolean {
  const program = realPath(join(fileURLToPath(new URL("../../bin", import.meta.url)), "seclog.js"));
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "" && !folder.includes(`node_modules${sep}.bin`))
    .some((folder) => realPath(join(folder, "seclog")) === program);
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
