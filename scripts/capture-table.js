#!/usr/bin/env node
/**
 * Writes docs/capture.md, the table of the capture contract: each framework, each case, and why a case does not apply.
 * Also the summary in README.md, between its two marks. A case without a reason is run by
 * `test/capture-contract.test.ts` or `test/next.test.ts`, so the table claims nothing that is not tested.
 *
 * With `--check` it writes nothing and fails when a page differs. Reads the built package.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { captureContract } from "seclog/testing";
import { FRAMEWORKS } from "../test/capture-contract/frameworks.js";
import { root } from "./files.js";

const check = process.argv.includes("--check");
const columns = FRAMEWORKS.map((framework) => ({ name: framework.name, cases: captureContract(framework) }));
const groups = [...new Set(columns[0].cases.map(({ group }) => group))];

page(join(root, "docs", "capture.md"), capturePage());
const readme = join(root, "README.md");
page(
  readme,
  readFileSync(readme, "utf8").replace(
    /(<!-- capture: begin[^>]*-->\n)[\s\S]*?(\n<!-- capture: end -->)/,
    (_, begin, end) => `${begin}${summary()}${end}`,
  ),
);

function page(path, text) {
  if (!check) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    console.error(`${path} differs from the capture contract: run \`node scripts/capture-table.js\` and commit it`);
    process.exitCode = 1;
  }
}

function row(cells) {
  return `| ${cells.join(" | ")} |`;
}

function heading(cells) {
  return `${row(cells)}\n|${cells.map((_, at) => (at === 0 ? "---|" : ":-:|")).join("")}`;
}

/** How many cases of each group apply to a framework, and are tested with it. */
function summary() {
  const rows = columns.map(({ name, cases }) =>
    row([
      name,
      ...groups.map((group) => {
        const here = cases.filter((one) => one.group === group);
        return `${here.filter(({ skip }) => skip === undefined).length} of ${here.length}`;
      }),
    ]),
  );
  return `\n${heading(["", ...groups])}\n${rows.join("\n")}\n`;
}

function capturePage() {
  const reasons = [];
  const mark = (skip) => {
    if (skip === undefined) return "✓";
    if (!reasons.includes(skip)) reasons.push(skip);
    return `[${reasons.indexOf(skip) + 1}](#why-not)`;
  };
  const sections = groups.map((group) => {
    const titles = columns[0].cases.filter((one) => one.group === group).map(({ title }) => title);
    const rows = titles.map((title) =>
      row([title, ...columns.map(({ cases }) => mark(cases.find((one) => one.title === title).skip))]),
    );
    return `## ${group}\n\n${heading(["", ...columns.map(({ name }) => name)])}\n${rows.join("\n")}\n`;
  });
  return `<!-- Written by scripts/capture-table.js from packages/seclog/src/capture/contract.ts: change it there. -->

# What capture sees

Every capture passes the same cases, with the real framework and the libraries that its users take. A ✓ is a test
(\`test/capture-contract.test.ts\`, \`test/next.test.ts\`): the request leaves exactly the events of its case, each with
type, level, status, route, allowed methods, actor and the client's address behind a proxy. A number is the reason why a case does not apply.
To hold a capture of your own to them, use \`captureContract\` of \`seclog/testing\`.

${sections.join("\n")}
## Why not

${reasons.map((reason, at) => `${at + 1}. ${reason.replace(/^./, (first) => first.toUpperCase())}.`).join("\n")}
`;
}
