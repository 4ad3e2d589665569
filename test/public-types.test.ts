/** What the declarations of our packages need of others, for users who check libraries (`skipLibCheck: false`). */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { readSource } from "../scripts/imports.js";

interface Manifest {
  readonly exports: { readonly [entry: string]: { readonly types?: string } };
  readonly dependencies?: { readonly [name: string]: string };
  readonly peerDependencies?: { readonly [name: string]: string };
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8"));

/** The packages that the declarations of a package's entries import, one after the other. */
function importedPackages(folder: string): ReadonlySet<string> {
  const { exports } = manifestOf(folder);
  const names = new Set<string>();
  const seen = new Set<string>();
  const waiting = Object.values(exports).flatMap(({ types }) => (types ? [join(root, "packages", folder, types)] : []));
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { specifier = "" } of readSource(readFileSync(path, "utf8"), path).imports) {
      if (specifier.startsWith(".")) waiting.push(join(dirname(path), specifier.replace(/\.[jt]s$/, ".d.ts")));
      else if (!specifier.startsWith("node:")) names.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);
    }
  }
  expect(seen.size).toBeGreaterThan(1);
  return names;
}

/** Whether a package has declarations: named in its manifest, or beside its code. */
function hasTypes(name: string): boolean {
  const folder = join(root, "node_modules", name);
  const { types, typings, main, exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const entry = JSON.stringify([types, typings, main, exports?.["."] ?? exports]);
  return [...entry.matchAll(/"(\.?[^"]*\.[cm]?[jt]s)"/g)].some(([, path = ""]) =>
    existsSync(join(folder, path.replace(/(?:\.d)?\.([cm]?)[jt]s$/, ".d.$1ts"))),
  );
}

describe("the declarations of", () => {
  it.each(["seclog", "api", "verify", "server", "demo"])(
    "%s - import only packages whose types are installed with it",
    (folder) => {
      const { dependencies, peerDependencies } = manifestOf(folder);
      const installed: { readonly [name: string]: string } = { ...dependencies, ...peerDependencies };
      const missing = [...importedPackages(folder)].filter((name) => {
        const apart = `@types/${name.replace("@", "").replace("/", "__")}`;
        return installed[name] === undefined || (!hasTypes(name) && installed[apart] === undefined);
      });
      expect(missing).toEqual([]);
    },
  );
});
