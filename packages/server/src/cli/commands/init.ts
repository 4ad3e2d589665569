import type { Command } from "commander";
import { FRAMEWORKS, readProject, requireFramework } from "../../application/project.ts";
import { type Starter, starterOf, writeStarter } from "../../application/starter.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { styled } from "../../terminal/style.ts";

interface InitOptions {
  readonly framework?: string;
  readonly print?: true;
  readonly json?: true;
}

/** `seclog init`. */
export function addInit(command: Command): void {
  command
    .option("--framework <name>", `${FRAMEWORKS.join(", ")}; by default what package.json depends on`)
    .option("--print", "print the files, and write none")
    .option("--json", "one JSON document")
    .action(init);
}

async function init(directory = ".", options: InitOptions): Promise<void> {
  const framework = options.framework === undefined ? undefined : requireFramework(options.framework);
  const project = readProject(directory);
  const starter = starterOf(project, framework);
  if (options.print !== true) writeStarter(project, starter);
  await print(options.json === true ? jsonLine(starter) : text(starter, options.print === true));
}

function text({ framework, files, steps }: Starter, printed: boolean): string {
  const title = framework === "node" ? "node:http" : framework;
  const shown = files.map((file) => (printed ? `--- ${file.path}\n${file.text}` : `Wrote ${file.path}`));
  const numbered = steps.map(
    ({ title: step, code }, index) => `${styled(`${index + 1}. ${step}`, "bold", process.stdout)}\n${indented(code)}\n`,
  );
  return `Framework: ${title}\n${shown.join("\n")}\n\n${numbered.join("\n")}`;
}

function indented(code: string): string {
  return code
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : `   ${line}`))
    .join("\n");
}
