import type { Command } from "commander";
import { collectSpool } from "../../config/collect.ts";
import type { TokenEntry } from "../../ingest/receivers/token.ts";
import { addToken, readTokens, revokeToken } from "../../ingest/receivers/token-file.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Table } from "../../terminal/table.ts";
import { collect } from "../options/collect.ts";

interface TokensOptions {
  readonly spool?: string;
  readonly json?: true;
}

interface CreateOptions extends TokensOptions {
  readonly name: string;
  readonly service: readonly string[];
  readonly type?: readonly string[];
  readonly trustClock?: true;
}

/** `seclog tokens`. */
export function addTokens(tokens: Command): void {
  const spool = (command: Command): Command =>
    command
      .option("--spool <directory>", "the collector's spool (default: SECLOG_COLLECT_SPOOL)")
      .option("--json", "JSON, a document a line");
  spool(
    tokens
      .command("create")
      .description("make a token for a sender, and print it: it cannot be shown again")
      .requiredOption("--name <name>", "the sender, as the log names it")
      .requiredOption(
        "--service <service>",
        "a service whose events it may send; repeatable, the first is the default",
        collect,
      )
      .option("--type <type>", "a type of event that it may send, such as authn_*; repeatable (default: all)", collect)
      .option("--trust-clock", "its events happened when it says, up to seven days ago"),
  ).action(create);
  spool(tokens.command("list").description("list the tokens, without their secrets")).action(list);
  spool(tokens.command("revoke <name>").description("revoke a token, by its name or id")).action(revoke);
}

async function create(options: CreateOptions): Promise<void> {
  const { token, entry } = addToken(collectSpool(options.spool), {
    name: options.name,
    services: options.service,
    types: options.type,
    trustClock: options.trustClock,
  });
  if (options.json) return await print(jsonLine({ token, ...shown(entry) }));
  await print(
    `${token}\n\nThe token of ${entry.name} is shown this once: only its hash is kept. Send it as Authorization: Bearer, or as the password of Basic credentials.\n`,
  );
}

async function list(options: TokensOptions): Promise<void> {
  const entries = readTokens(collectSpool(options.spool));
  if (options.json) return await print(entries.map((entry) => jsonLine(shown(entry))).join(""));
  if (entries.length === 0) return await print("No tokens.\n");
  const table = new Table<TokenEntry>([
    { title: "id", value: ({ id }) => id },
    { title: "name", value: ({ name }) => name },
    { title: "services", value: ({ services }) => services.join(", "), min: 12 },
    { title: "types", value: ({ types }) => types?.join(", ") ?? "all", min: 8 },
    { title: "created", value: ({ createdAt }) => createdAt.slice(0, 10) },
    { title: "revoked", value: ({ revokedAt }) => revokedAt?.slice(0, 10) ?? "" },
  ]);
  await print(table.lines(entries));
}

async function revoke(name: string, options: TokensOptions): Promise<void> {
  const entry = revokeToken(collectSpool(options.spool), name);
  await print(
    options.json
      ? jsonLine(shown(entry))
      : `Revoked ${entry.name} (${entry.id}). Running collectors refuse it within a second, and record its use.\n`,
  );
}

/** An entry without its hash, which is nothing to show. */
function shown({ hash: _, ...entry }: TokenEntry): object {
  return entry;
}
