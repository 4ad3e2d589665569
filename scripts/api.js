#!/usr/bin/env node
/**
 * The API reports: what each entry of a package's exports offers its importers, as api-extractor reads the built
 * declarations, one file for each entry in `packages/<name>/api/`. A change of the public API then shows in the diff of
 * the commit that makes it.
 *
 * `npm run check -- api` fails when a report differs; `node scripts/api.js --write` writes them.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { filesBelow, packageFolders, root } from "./files.js";

const { CompilerState, Extractor, ExtractorConfig } = createRequire(import.meta.url)("@microsoft/api-extractor");

const write = process.argv.includes("--write");
const scratch = mkdtempSync(join(tmpdir(), "seclog-api-"));
const problems = [];
try {
  for (const folder of packageFolders()) {
    try {
      reportPackage(folder);
    } catch (error) {
      problems.push(`${relative(root, folder)}: api-extractor cannot read its declarations: ${error.message}`);
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (problems.length > 0) {
  console.error(
    `${problems.join("\n")}\nIf the change is intended, run node scripts/api.js --write and commit the reports.`,
  );
  process.exitCode = 1;
}

/** The entries with types, as `{ name, types }`. */
function entriesOf(folder) {
  const { exports = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return Object.entries(exports)
    .filter(([, { types }]) => types !== undefined)
    .map(([path, { types }]) => ({ name: path === "." ? "index" : path.slice(2).replaceAll("/", "-"), types }));
}

function reportPackage(folder) {
  const reports = join(folder, "api");
  const entries = entriesOf(folder);
  const configs = entries.map(({ name, types }) => configOf(folder, name, types));
  const [first, ...others] = configs;
  const wanted = new Set(entries.map(({ name }) => `${name}.api.md`));
  for (const path of existsSync(reports) ? filesBelow(reports) : []) {
    if (wanted.has(basename(path))) continue;
    if (write) rmSync(path);
    else problems.push(`${relative(root, path)}: this entry no longer exists`);
  }
  if (first === undefined) return;
  // One program for all entries: most of the time goes into reading the types.
  const compilerState = CompilerState.create(first, {
    additionalEntryPoints: others.map(({ mainEntryPointFilePath }) => mainEntryPointFilePath),
  });
  for (const [index, config] of configs.entries()) {
    Extractor.invoke(config, { compilerState, localBuild: true, messageCallback: keepQuiet });
    const file = `${entries[index].name}.api.md`;
    const report = readFileSync(join(scratch, file), "utf8");
    const path = join(reports, file);
    if (existsSync(path) && readFileSync(path, "utf8") === report) continue;
    if (write) {
      mkdirSync(reports, { recursive: true });
      writeFileSync(path, report);
    } else problems.push(`${relative(root, path)}: the public API of the build differs from the report`);
  }
}

function configOf(folder, name, types) {
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: join(folder, types),
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: "es2023",
            lib: ["es2023", "esnext.disposable"],
            module: "nodenext",
            moduleResolution: "nodenext",
            skipLibCheck: true,
            types: ["node"],
            typeRoots: [join(root, "node_modules", "@types")],
          },
          files: [join(folder, types)],
        },
      },
      apiReport: {
        enabled: true,
        reportFolder: scratch,
        reportTempFolder: join(scratch, "temp"),
        reportFileName: name,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: "lf",
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, "package.json"),
  });
}

/** Silences api-extractor: its warnings are in the report, and the report is compared above. */
function keepQuiet(message) {
  message.handled = message.logLevel !== "error";
}
