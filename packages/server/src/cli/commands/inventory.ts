import type { Command } from "commander";
import { visibleText } from "seclog";
import { type Inventory, inventory } from "../../search/inventory.ts";
import { interruption, unlessInterrupted } from "../../terminal/interruption.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { bytesText, counted } from "../../text/words.ts";
import { withReader } from "../connections.ts";
import { parseTimeout, timeoutOption } from "../options/numbers.ts";

interface InventoryOptions {
  readonly timeout: string;
  readonly json?: true;
}

/** `seclog inventory`. */
export function addInventory(command: Command): void {
  command.addOption(timeoutOption()).option("--json", "one JSON document").action(showInventory);
}

async function showInventory(options: InventoryOptions): Promise<void> {
  const signal = interruption();
  await withReader(signal, parseTimeout(options.timeout), async (database) => {
    const found = await unlessInterrupted(signal, inventory(database));
    await print(options.json === true ? jsonLine(found) : `${page(found).map(visibleText).join("\n")}\n`);
  });
}

/** The inventory as a page of Markdown, for the documentation that ASVS asks for. */
function page(found: Inventory): string[] {
  const { database, tls, logins, retention, holds, sealed, types, sources } = found;
  const events = types.reduce((sum, type) => sum + type.events, 0);
  return [
    "# Inventory of the security event log",
    "",
    "## What is logged",
    "",
    `${counted(events, "event")} of ${counted(types.length, "type")}, from ${counted(sources, "source")}.`,
    "",
    ...tableOf(
      ["type", "category", "events", "first", "last", "logger", "service", "kept"],
      types.map((type) => [
        type.catalogued ? type.type : `${type.type} (the application's)`,
        type.category,
        String(type.events),
        type.first.slice(0, 10),
        type.last.slice(0, 10),
        type.loggers.join(", "),
        type.services.join(", "),
        type.retention.join(", "),
      ]),
    ),
    "",
    "## Where it is stored",
    "",
    `The database ${database.name}, ${bytesText(database.bytes)}, on PostgreSQL ${database.server}: one row per event in`,
    "security_event_log, with typed columns, and the rest in data (JSON).",
    `The reader's connection is ${tls === null ? "not encrypted" : `encrypted with ${tls}`}.`,
    "",
    "## Who has access",
    "",
    ...tableOf(
      ["login", "may"],
      logins.map(({ login, may }) => [login, may.map((right) => RIGHTS[right] ?? right).join("; ")]),
    ),
    "",
    "## For how long",
    "",
    ...(retention.length === 0
      ? ["Every category has the class standard."]
      : tableOf(
          ["category", "class"],
          [...retention.map((one) => [one.category, one.class]), ["any other", "standard"]],
        )),
    `${counted(holds, "hold")} in force. seclog prune decides how long each class is kept.`,
    "",
    "## What shows a change",
    "",
    sealed === null
      ? "Nothing is sealed: a change by an administrator would not show. Run seclog seal."
      : `${counted(sealed.events, "event")} of the log ${sealed.log} are sealed, last at ${sealed.at}.`,
  ];
}

const RIGHTS: { readonly [right: string]: string } = {
  writer: "add events",
  reader: "read everything",
  sealer: "read everything, and seal it",
  relay: "add what a queue has",
  owner: "change and remove everything",
  superuser: "everything, as a superuser of the server",
};

function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(titles), `|${titles.map(() => "---").join("|")}|`, ...rows.map(line)];
}
