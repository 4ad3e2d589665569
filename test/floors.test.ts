import { describe, expect, it } from "vitest";
import { floorProblems, repositorySources } from "../scripts/floors.js";
import { readSource } from "../scripts/imports.js";

const library = "packages/seclog/src/";

function problemsOf(files: { readonly [path: string]: string }): string[] {
  const sources = new Map(Object.entries(files).map(([path, text]) => [library + path, text]));
  return floorProblems(sources, new Map([["packages/seclog", new Set(["pg"])]]));
}

describe("floorProblems()", () => {
  it("finds no upward import, cycle or undeclared dependency in this repository", () => {
    const { sources, dependencies, entries } = repositorySources();
    expect(sources.size).toBeGreaterThan(10);
    expect(floorProblems(sources, dependencies, entries)).toEqual([]);
  });

  it("names an upward import by file and line", () => {
    const problems = problemsOf({
      "event/a.ts": `/** text */\nimport {\n  x,\n} from "../record/b.ts";\n`,
      "record/b.ts": "export const x = 1;\n",
    });
    expect(problems).toEqual([
      "packages/seclog/src/event/a.ts:4: event (floor 0) may not import record (floor 1): only lower floors",
    ]);
  });

  it("counts type imports, re-exports, dynamic imports and worker files as well", () => {
    const up = "../ship/b.ts";
    for (const statement of [
      `import type { X } from "${up}";`,
      `export * from "${up}";`,
      `export type { X } from "${up}";`,
      `import "${up}";`,
      `const b = await import("${up}");`,
      `const b = new URL("${up.replace(".ts", ".js")}", import.meta.url);`,
    ]) {
      expect(problemsOf({ "spool/a.ts": statement, "ship/b.ts": "" }), statement).toHaveLength(1);
    }
  });

  it("keeps folders on one floor apart, and capture to the floors up to record", () => {
    const files = { "merkle/a.ts": "", "event/a.ts": 'import "../merkle/a.ts";' };
    expect(problemsOf(files)).toHaveLength(1);
    const capture = { "capture/a.ts": 'import "../record/a.ts";\nimport "../spool/b.ts";', "record/a.ts": "" };
    expect(problemsOf({ ...capture, "spool/b.ts": "" })).toEqual([
      "packages/seclog/src/capture/a.ts:2: capture sees floors 0 to 1 only, spool is floor 2",
    ]);
  });

  it("keeps frameworks apart below capture, and the writer from the administrator's side", () => {
    const capture = {
      "capture/a.ts": "",
      "capture/express/a.ts": 'import "../a.ts";\nimport "../fastify/a.ts";\nimport "../../spool/a.ts";',
      "capture/fastify/a.ts": "",
      "spool/a.ts": "",
    };
    expect(problemsOf(capture).map((problem) => problem.slice(library.length))).toEqual([
      "capture/express/a.ts:2: capture/express (floor 4.5) may not import capture/fastify (floor 4.5): only lower floors",
      "capture/express/a.ts:3: capture/express sees floors 0 to 1 only, spool is floor 2",
    ]);
    const postgres = {
      "postgres/a.ts": 'import "./schema/a.ts";',
      "postgres/schema/a.ts": 'import "../b.ts";',
      "postgres/b.ts": "",
    };
    expect(problemsOf(postgres).map((problem) => problem.slice(library.length))).toEqual([
      "postgres/a.ts:1: postgres (floor 4) may not import postgres/schema (floor 4.5): only lower floors",
    ]);
  });

  it("reports a cycle once, with its path", () => {
    const problems = problemsOf({
      "event/a.ts": 'import "./b.ts";',
      "event/b.ts": 'import type { C } from "./c.ts";',
      "event/c.ts": 'export { a } from "./a.ts";',
    });
    expect(problems).toEqual([
      "packages/seclog/src/event/c.ts:1: import cycle event/a.ts -> event/b.ts -> event/c.ts -> event/a.ts",
    ]);
  });

  it("refuses code in index.ts, and imports of it", () => {
    const index = '/** Names. */\nexport { a } from "./event/a.ts";\n\nexport const b = 1;\n';
    expect(problemsOf({ "index.ts": index, "event/a.ts": 'import "../index.ts";' })).toEqual([
      "packages/seclog/src/index.ts:4: only `export { … } from` belongs here, no code",
      "packages/seclog/src/event/a.ts:1: index.ts is for users of the package: import the file that has the name",
      "packages/seclog/src/event/a.ts:1: import cycle index.ts -> event/a.ts -> index.ts",
    ]);
  });

  it("refuses an undeclared package, a driver outside its folder, a missing file, and another package by path", () => {
    const problems = problemsOf({
      "capture/express.ts": 'import type { Request } from "express";',
      "handlers/file.ts": 'import pg from "pg";\nimport "./gone.ts";\nimport "../../../server/src/cli.ts";',
      "ship/a.ts": 'import { readFileSync } from "fs";\nimport { join } from "node:path";',
    });
    expect(problems.map((problem) => problem.slice(library.length))).toEqual([
      "capture/express.ts:1: express is not among the dependencies of packages/seclog",
      "handlers/file.ts:1: only postgres/ may import pg",
      "handlers/file.ts:2: packages/seclog/src/handlers/gone.ts does not exist",
      "handlers/file.ts:3: packages/server/src/cli.ts is in another package: import it by its package name",
      "ship/a.ts:1: write node:fs",
    ]);
  });

  it("lets the verifier import only its own files and Node's modules", () => {
    const problems = floorProblems(
      new Map([
        [
          "packages/verify/src/a.ts",
          [
            'import { leafHash } from "seclog/merkle";',
            'import type { SecurityEvent } from "seclog";',
            'import pg from "pg";',
            'import { print } from "../../server/src/output.ts";',
            'import { createHash } from "node:crypto";',
            'import "./b.ts";',
          ].join("\n"),
        ],
        ["packages/verify/src/b.ts", ""],
      ]),
      new Map([["packages/verify", new Set(["seclog", "pg"])]]),
    );
    const only = "packages/verify may import node: and its own files only, not";
    expect(problems).toEqual([
      `packages/verify/src/a.ts:1: ${only} seclog/merkle`,
      `packages/verify/src/a.ts:2: ${only} seclog`,
      `packages/verify/src/a.ts:3: ${only} pg`,
      "packages/verify/src/a.ts:4: packages/server/src/output.ts is in another package: import it by its package name",
    ]);
  });

  it("lets what a browser runs import only its own files", () => {
    const text = 'import { isIP } from "node:net";\nimport type { Level } from "seclog";\nimport "./b.ts";';
    const sources = new Map([
      ["packages/api/src/a.ts", text],
      ["packages/api/src/b.ts", ""],
    ]);
    expect(floorProblems(sources, new Map([["packages/api", new Set(["seclog"])]]))).toEqual([
      "packages/api/src/a.ts:1: packages/api may import its own files only, not node:net",
      "packages/api/src/a.ts:2: packages/api may import its own files only, not seclog",
    ]);
  });

  describe("in the program", () => {
    const program = (files: { readonly [path: string]: string }): string[] => {
      const home = "packages/server/src/";
      const sources = new Map(Object.entries(files).map(([path, text]) => [home + path, text]));
      const names = new Set(["pg", "pg-copy-streams", "commander", "seclog"]);
      const dependencies = new Map([["packages/server", Object.assign(names, { own: "@seclog/server" })]]);
      return floorProblems(sources, dependencies, new Map([["seclog", new Set([".", "./postgres"])]])).map((problem) =>
        problem.slice(home.length),
      );
    };

    it.each([
      ["config", "database", "config (floor 0) may not import database (floor 1): only lower floors"],
      ["text", "config", "text (floor 0) may not import config (floor 0): only lower floors"],
      ["keys", "database", "keys (floor 0.5) may not import database (floor 1): only lower floors"],
      ["database", "integrity", "database (floor 1) may not import integrity (floor 4): only lower floors"],
      ["search", "retention", "search (floor 2) may not import retention (floor 2): only lower floors"],
      ["retention", "http", "retention (floor 2) may not import http (floor 3): only lower floors"],
      ["http", "integrity", "http (floor 3) may not import integrity (floor 4): only lower floors"],
      ["integrity", "doctor", "integrity (floor 4) may not import doctor (floor 5): only lower floors"],
      ["doctor", "cli", "doctor (floor 5) may not import cli (floor 6): only lower floors"],
      ["search", "terminal", "only cli/ may import terminal/"],
      ["doctor", "terminal", "only cli/ may import terminal/"],
    ])("refuses an import from %s/ of %s/", (from, to, sentence) => {
      const files = { [`${from}/a.ts`]: `import { x } from "../${to}/b.ts";`, [`${to}/b.ts`]: "" };
      expect(program(files)).toEqual([`${from}/a.ts:1: ${sentence}`]);
    });

    it("lets only cli/ import commander, even its types", () => {
      expect(
        program({
          "cli/options/a.ts": 'import type { Command } from "commander";',
          "search/a.ts": 'import type { Command } from "commander";',
          "integrity/publish/a.ts": 'import { Option } from "commander";',
        }),
      ).toEqual([
        "search/a.ts:1: only cli/ may import commander",
        "integrity/publish/a.ts:1: only cli/ may import commander",
      ]);
    });

    it("lets only database/ import pg, except its types", () => {
      expect(
        program({
          "database/a.ts": 'import pg from "pg";',
          "doctor/a.ts": 'import type pg from "pg";\nimport type { Client } from "pg";',
          "doctor/b.ts": 'import pg from "pg";',
          "cli/commands/c.ts": 'const { Pool } = await import("pg");',
        }),
      ).toEqual([
        "doctor/b.ts:1: only database/ may import pg: others its types, by import type",
        "cli/commands/c.ts:1: only database/ may import pg: others its types, by import type",
      ]);
    });

    it.each<[what: string, path: string, source: string, sentence: string]>([
      ["itself by its name", "search/a.ts", 'import "@seclog/server/terminal/print";', "is this package"],
      ["a door that is closed", "search/a.ts", 'import "seclog/internal/x";', "seclog does not export ./internal/x"],
      ["pg by require", "search/a.ts", 'import pg = require("pg");', "only database/ may import pg"],
      ["pg past the parser", "search/a.ts", 'import { createRequire } from "node:module";', "past these walls"],
      ["what is computed", "search/a.ts", "await import(name);", "what this loads is computed"],
      [
        "copies of rows",
        "search/a.ts",
        'import type c from "pg-copy-streams";',
        "only database/ may import pg-copy-streams",
      ],
      ["the process's output", "search/a.ts", "process.stdout.write(text);", "may use process.stdout"],
      ["the process's errors", "search/a.ts", "const { stderr } = globalThis.process;", "may use process.stderr"],
      ["the process by import", "search/a.ts", 'import { stdout } from "node:process";', "past these walls"],
      ["console", "search/a.ts", "console.log(text);", "may use console"],
      ["a folder without a floor", "attic/a.ts", "export const a = 1;", "attic has no floor"],
      ["a file at the root", "stray.ts", "export const a = 1;", "stray.ts has no floor"],
      [
        "commands from their options",
        "cli/options/a.ts",
        'import "../commands/b.ts";',
        "cli/options (floor 6.2) may not",
      ],
      [
        "the program from a command",
        "cli/commands/a.ts",
        'import "../run.ts";',
        "cli/commands (floor 6.4) may not import",
      ],
      [
        "a command from a folder",
        "cli/commands/x/a.ts",
        'import "../b.ts";',
        "no file of cli/commands/ may import another",
      ],
      ["the folder beside it", "integrity/seal/a.ts", 'import "../publish/b.ts";', "folders beside each other do not"],
      ["a door from inside", "doctor/a.ts", 'import "../integrity/seal/index.ts";', "is for users of the package"],
      ["code in a door", "integrity/seal/index.ts", "export const a = 1;", "only `export { … } from` belongs here"],
      [
        "a terminal for the demo",
        "for-demo.ts",
        'export { a } from "./terminal/b.ts";',
        "only cli/ may import terminal/",
      ],
    ])("refuses %s", (_, path, source, sentence) => {
      const others = [
        "cli/commands/b.ts",
        "cli/run.ts",
        "integrity/publish/b.ts",
        "integrity/seal/index.ts",
        "terminal/b.ts",
      ];
      const problems = program({ ...Object.fromEntries(others.map((other) => [other, ""])), [path]: source });
      expect(problems).toEqual([expect.stringContaining(sentence)]);
    });

    it("refuses a command that imports another", () => {
      expect(
        program({
          "cli/main.ts": 'const prune = await import("./commands/prune.ts");',
          "cli/connections.ts": 'import { print } from "../terminal/print.ts";',
          "cli/commands/prune.ts": 'import "../connections.ts";',
          "cli/commands/hold.ts": 'import type { X } from "./prune.ts";',
          "terminal/print.ts": "",
        }),
      ).toEqual([
        "cli/commands/hold.ts:1: no file of cli/commands/ may import another one: move what they share out of it",
      ]);
    });
  });
});

describe("readSource()", () => {
  const specifiers = (source: string): readonly unknown[] =>
    readSource(source).imports.map(({ specifier, line, types }) => [specifier, line, types]);

  it("ignores examples in comments and in texts", () => {
    const source = '/* import { a } from "seclog"; */\n// import "x"\nconst text = `import "y"; import("z")`;\n';
    expect(specifiers(source)).toEqual([]);
  });

  it.each([
    ["the second on a line", 'import "./a.ts"; import "./x.ts";', 1, false],
    ["after code", 'const a = 1; export { b } from "./x.ts";', 1, false],
    ["after a comment", '/** Text. */ import "./x.ts";', 1, false],
    ["around a comment with a quote", 'import {\n  // it\'s\n  a, /* ; */\n} from "./x.ts";', 4, false],
    ["types alone", 'import type { A } from "./x.ts";', 1, true],
    ["a type among values", 'import { type A } from "./x.ts";', 1, false],
    ["a type in place", 'let a: import("./x.ts").A;', 1, true],
    ["require", 'import a = require("./x.ts");', 1, false],
    ["createRequire", 'createRequire(import.meta.url)("./x.ts");', 1, false],
    ["resolve of require", 'require.resolve("./x.ts");', 1, false],
    ["getBuiltinModule", 'process.getBuiltinModule("./x.ts");', 1, false],
    ["a template", "await import(`./x.ts`);", 1, false],
    ["a comment within import()", 'await import(/* it */ "./x.ts");', 1, false],
    ["import.meta.resolve", 'import.meta.resolve("./x.ts");', 1, false],
    ["URL of a template", "new URL(`./x.ts`, import.meta.url);", 1, false],
    ["a reference", '/// <reference types="./x.ts" />', 1, true],
    ["a reference by path", '/// <reference path="x.ts" />', 1, true],
  ])("reads %s", (_, source, line, types) => {
    expect(specifiers(source).at(-1)).toEqual(["./x.ts", line, types]);
  });

  it.each(["import(name)", 'import("./" + name)', "new URL(name, import.meta.url)", "require(name)"])(
    "reports that %s is computed",
    (source) => {
      expect(specifiers(source)).toEqual([[undefined, 1, false]]);
    },
  );
});
