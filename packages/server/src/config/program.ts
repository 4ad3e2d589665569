/** How the person at the terminal calls this program: every command line that it prints is made here. */
import { realpathSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** Works in any folder, with or without the package among the dependencies. */
const BY_NPX = "npx @seclog/server";

let name: string | undefined;

/**
 * A command line of this program that works where it is printed, such as `npx @seclog/server doctor`; `seclog doctor`
 * where the program is installed for the whole machine. The package `seclog` has no program, so `npx seclog` would
 * fail in the folder of most applications.
 */
export function commandLine(args: string): string {
  name ??= isGlobal() ? "seclog" : BY_NPX;
  return `${name} ${args}`;
}

/** Whether a shell finds us by name. What npm and npx put on the path for the programs they run does not count. */
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
