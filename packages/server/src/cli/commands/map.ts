import type { Command } from "commander";
import { type MapEntry, mapApplication, type SourceMap } from "../../application/source-map.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { styled } from "../../terminal/style.ts";
import { Table } from "../../terminal/table.ts";
import { counted } from "../../text/words.ts";
import { conclude, Exit } from "../exit.ts";

interface MapOptions {
  readonly all?: true;
  readonly check?: true;
  readonly json?: true;
}

/** `seclog map`. */
export function addMap(command: Command): void {
  command
    .option("--all", "list also what is recorded")
    .option("--check", "exit with 1 if something records nothing")
    .option("--json", "one JSON document")
    .action(map);
}

async function map(directory = ".", options: MapOptions): Promise<void> {
  const found = mapApplication(directory);
  const silent = found.entries.filter(({ recorded }) => recorded === "nothing");
  const failure = options.check === true && silent.length > 0 ? new Exit(1) : undefined;
  await conclude(failure, async () => {
    if (options.json === true) {
      await print(jsonLine(found));
      return;
    }
    await printTable(options.all === true ? found.entries : silent);
    for (const line of summary(found, silent.length)) notice(line);
  });
}

async function printTable(entries: readonly MapEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const table = new Table<MapEntry>([
    { title: "WHERE", value: ({ file, line }) => `${file}:${line}` },
    { title: "KIND", value: ({ kind }) => kind },
    { title: "WHAT", value: ({ what }) => what },
    { title: "RECORDED", value: ({ recorded }) => recorded },
  ]);
  await print(table.lines(entries));
}

function summary({ files, unread, captured, entries }: SourceMap, silent: number): string[] {
  const count = (kind: MapEntry["kind"]): number => entries.filter((entry) => entry.kind === kind).length;
  const found = [
    counted(count("route"), "route that changes something", "routes that change something"),
    counted(count("refusal"), "refusal"),
    counted(count("catch"), "catch block that ends an error", "catch blocks that end an error"),
  ];
  const lines = [`${counted(files, "file")}: ${found.join(", ")}; ${silent} without an event.`];
  if (!captured) {
    lines.push(
      `${styled("No capture is installed", "yellow", process.stderr)}, so no refusal is recorded by its status: seclog init has the line.`,
    );
  }
  if (unread.length > 0) lines.push(`Not read, since they do not parse: ${unread.join(", ")}.`);
  return lines;
}
