/** A package as npm would install it: packed, and unpacked into a `node_modules`, without a registry. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";
import { filesBelow, root } from "../../scripts/files.js";

const run = promisify(execFile);

/** The parts of a package's manifest that its install depends on. */
export interface Manifest {
  readonly name: string;
  readonly exports: { readonly [entry: string]: unknown };
  readonly bin?: { readonly [name: string]: string };
  readonly dependencies?: { readonly [name: string]: string };
  readonly peerDependencies?: { readonly [name: string]: string };
}

/** The manifest of one of our packages: the folder `packages/<workspace>`. */
export function manifestOf(workspace: string): Manifest {
  return JSON.parse(readFileSync(join(root, "packages", workspace, "package.json"), "utf8")) as Manifest;
}

/** The tarball of `packages/<workspace>`, packed once in a run. */
async function tarballOf(workspace: string): Promise<string> {
  const tarballs = inject("tarballs");
  const tarball = join(tarballs, `${workspace}.tgz`);
  if (existsSync(tarball)) return tarball;
  // Two test files may pack the same at once: the rename of either is whole.
  const own = mkdtempSync(join(tarballs, `${workspace}-`));
  const folder = join(root, "packages", workspace);
  await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", own], { cwd: folder });
  renameSync(filesBelow(own).find((path) => path.endsWith(".tgz")) ?? "", tarball);
  return tarball;
}

/**
 * Packs `packages/<workspace>` and unpacks it into `modules`, with its programs in `.bin`. Its dependencies are linked
 * from the repository, except for our own packages: install those first. Resolves to the tarball's size in bytes.
 */
export async function installPacked(workspace: string, modules: string): Promise<number> {
  const folder = join(root, "packages", workspace);
  const { name, bin = {}, dependencies = {} } = manifestOf(workspace);
  mkdirSync(join(modules, ".bin"), { recursive: true });
  const unpacked = mkdtempSync(join(modules, ".pack-"));
  try {
    const tarball = await tarballOf(workspace);
    await run("tar", ["-xzf", tarball, "-C", unpacked]);
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    renameSync(join(unpacked, "package"), join(modules, name));
    for (const [program, path] of Object.entries(bin)) {
      symlinkSync(join("..", name, path), join(modules, ".bin", program));
    }
    for (const dependency of Object.keys(dependencies)) {
      if (existsSync(join(modules, dependency))) continue;
      // npm puts a second version of a package below the one that requires it.
      const own = join(folder, "node_modules", dependency);
      const source = existsSync(own) ? own : join(root, "node_modules", dependency);
      mkdirSync(dirname(join(modules, dependency)), { recursive: true });
      symlinkSync(source, join(modules, dependency));
    }
    return statSync(tarball).size;
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}
