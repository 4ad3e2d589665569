import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { CATALOGUE } from "../packages/seclog/src/event/catalogue.ts";
import { defineEvents } from "../packages/seclog/src/event/define-events.ts";
import { ERROR_CODES } from "../packages/seclog/src/event/errors.ts";
import { LEVELS } from "../packages/seclog/src/event/level.ts";
import { createSecurityLog } from "../packages/seclog/src/log/create-security-log.ts";
import { filesBelow, root } from "../scripts/files.js";
import { HOUSES } from "../scripts/floors.js";
import { runHere } from "./support/here.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The repository's Markdown files, relative to its root, without the packed copies. */
const pages = ["docs", "packages", "examples", "bench", "test"]
  .flatMap((folder) => filesBelow(join(root, folder)))
  .map((path) => relative(root, path))
  .filter((path) => path.endsWith(".md") && !/(^|\/)(dist|var|out)\/|^packages\/\w+\/docs\//.test(path))
  .concat(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]);

const COMMANDS = [
  ...[
    "setup",
    "doctor",
    "ship",
    "tail",
    "query",
    "stats",
    "count",
    "top",
    "start",
    "seal",
    "keys",
    "verify",
    "prove",
    "verify-proof",
    "witness",
  ],
  ...["tiles", "erase", "prune", "hold", "retention", "rollup"],
];

/** The pages that the build puts into a package. */
const packedPages = (name: string): readonly string[] =>
  filesBelow(join(root, "packages", name, "docs")).map((path) => relative(root, path));

/** The anchors that GitHub makes from a page's headings. */
function anchors(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, title = ""] of text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    names.add(
      plain
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    );
  }
  return names;
}

describe("the documents", () => {
  it("list every error code with its meaning, and no others (docs/errors.md)", () => {
    const documented = new Map(
      [...read("docs/errors.md").matchAll(/^\| `(SECLOG_\w+)` \| ([^|]*) \|/gm)].map(([, code = "", meaning = ""]) => [
        code,
        meaning,
      ]),
    );
    expect(Object.fromEntries(documented)).toEqual(ERROR_CODES);
  });

  it("name the lowest level that a log keeps by default (docs/events.md)", async () => {
    const types = LEVELS.map((level) => [`at_${level}`, { description: "A test.", level }] as const);
    await using log = createSecurityLog({
      spool: "memory",
      handlers: [{ name: "none", handle: async () => {}, close: async () => {} }],
      events: defineEvents(Object.fromEntries(types)),
    });
    const kept = LEVELS.filter((level) => log.isEnabled(`at_${level}`));
    expect(read("docs/events.md")).toContain(`of its level and above (\`${kept[0]}\` by default)`);
  });

  it.each([
    ["in the repository", () => pages],
    ["in the package seclog", () => packedPages("seclog")],
    ["in the package @seclog/server", () => packedPages("server")],
  ])("link only to pages and headings that exist %s", (_, pagesOf) => {
    const linking = pagesOf();
    expect(linking.length).toBeGreaterThan(5);
    const broken: string[] = [];
    for (const page of linking) {
      const text = read(page);
      for (const [, target = ""] of text.replace(/```[\s\S]*?```/g, "").matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? page : join(dirname(page), path);
        if (!existsSync(join(root, file))) broken.push(`${page}: ${target}`);
        else if (anchor !== undefined && !anchors(read(file)).has(anchor)) broken.push(`${page}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  it("show commands only with options that they have and categories that exist", async () => {
    const helps = new Map<string, string>();
    const helpOf = async (command: string): Promise<string> => {
      const help = helps.get(command) ?? (await runHere([...command.split(" "), "--help"], {})).stdout;
      helps.set(command, help);
      return help;
    };
    const categories = new Set(Object.values(CATALOGUE).map(({ category }) => category));
    const wrong: string[] = [];
    let commands = 0;
    for (const page of [...pages, "packages/console/src/pages/overview/first-steps.tsx"]) {
      // A line that ends in a backslash continues on the next.
      const text = read(page).replace(/\\\n\s*/g, "");
      for (const [line, name = "", args = ""] of text.matchAll(
        /(?:npx @seclog\/server|(?<![\w@/.-])seclog) ([a-z][a-z-]*)([^\n`|;]*)/g,
      )) {
        if (!COMMANDS.includes(name)) continue;
        const command = name === "keys" ? `keys ${/^ (\w+)/.exec(args)?.[1] ?? ""}`.trim() : name;
        // Comments and quoted arguments are not options of the command.
        const own = args.replace(/ #.*| \(.*/, "").replace(/'[^']*'|"[^"]*"/g, "");
        const options = [...own.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].map(([option]) => option);
        if (options.length > 0) commands += 1;
        const help = options.length > 0 || name === "keys" ? await helpOf(command) : "";
        if (name === "keys" && !help.includes(`Usage: seclog ${command} `)) wrong.push(`${page}: ${line}`);
        for (const option of options) if (!help.includes(option)) wrong.push(`${page}: ${line}: ${option}`);
        if (name !== "retention") continue;
        for (const [, category = ""] of own.matchAll(/([\w.:-]+)=(?:short|standard|long)/g)) {
          if (!categories.has(category)) wrong.push(`${page}: ${line}: ${category}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(commands).toBeGreaterThan(20);
    const examples = [...(await helpOf("retention")).matchAll(/([\w.:-]+)=(?:short|standard|long)/g)];
    expect(examples.map(([, category]) => category).filter((category) => !categories.has(category ?? ""))).toEqual([]);
    expect(examples.length).toBeGreaterThan(1);
  });

  it("quote tests by titles that they have (docs/design/integrity.md)", () => {
    const tests = ["packages", "test"].flatMap((folder) => filesBelow(join(root, folder)));
    const missing: string[] = [];
    let quoted = 0;
    // `file.test.ts`: a title, or parts of one around "…"
    for (const [, file = "", title = ""] of read("docs/design/integrity.md").matchAll(
      /`([\w./-]+\.test\.ts)`(?::\s([^;\]]+))?/g,
    )) {
      quoted += 1;
      const found = tests.filter((path) => path.endsWith(`/${file}`));
      const sources = found.map((path) => readFileSync(path, "utf8"));
      const parts = title.replace(/\s+/g, " ").split("…");
      if (!sources.some((source) => parts.every((part) => source.includes(part.trim())))) {
        missing.push(`${file}: ${title}`);
      }
    }
    expect(missing).toEqual([]);
    expect(quoted).toBeGreaterThan(15);
  });

  it("list every folder of the library and the program with its floor (CONTRIBUTING.md)", () => {
    const tree = read("CONTRIBUTING.md");
    for (const [house, walls] of Object.entries(HOUSES)) {
      if (!("floors" in walls)) continue;
      const { floors } = walls;
      const part = tree.slice(tree.indexOf(`\n${house}/src/ `)).split("\n\n")[0] ?? "";
      const documented = [...part.matchAll(/^ {2}([\w/]+)\/ +(-?[\d.]+) {4}\S/gm)].map(([, name, floor]) => [
        name,
        floor,
      ]);
      const folders = Object.entries(floors)
        .filter(([name]) => existsSync(join(root, house, "src", name)) && !/\.tsx?$/.test(name))
        .map(([name, floor]) => [name, String(floor)]);
      expect(documented.sort()).toEqual(folders.sort());
    }
  });

  it("show the examples as they are (docs/frameworks)", () => {
    const wrong: string[] = [];
    for (const page of filesBelow(join(root, "docs/frameworks"))) {
      const example = join(root, "examples", basename(page, ".md"));
      const text = readFileSync(page, "utf8");
      const sources = filesBelow(example).filter((path) => /\.(?:ts|js|mjs)$/.test(path));
      const shown = sources.filter((path) => !/(?:layout|page)\.js$/.test(path));
      expect(shown.length, page).toBeGreaterThan(0);
      wrong.push(...shown.filter((path) => !text.includes(`\n${readFileSync(path, "utf8")}\`\`\``)));
    }
    expect(wrong).toEqual([]);
  });

  it("begin with unreleased changes (CHANGELOG.md)", () => {
    expect(read("CHANGELOG.md").match(/^## .*/m)?.[0]).toBe("## [Unreleased]");
  });

  it("include the licence in each published package", () => {
    for (const name of ["seclog", "api", "verify", "server", "demo"])
      expect(read(`packages/${name}/LICENSE`)).toBe(read("LICENSE"));
  });

  it("describe the library's folders (docs/design/README.md)", () => {
    const design = read("docs/design/README.md");
    for (const folder of ["event", "record", "spool", "ship", "postgres", "handlers", "capture", "testing"]) {
      expect(design, folder).toContain(`${folder}/`);
    }
  });
});
