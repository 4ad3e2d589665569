/** The options that say where checkpoints go, and the publishers that they configure. */
import type { Command } from "commander";
import { SeclogError } from "seclog";
import { optionalSecretUrl } from "seclog/postgres/schema";
import { filePublisher } from "../../integrity/publish/file.ts";
import { gitPublisher } from "../../integrity/publish/git.ts";
import type { Publisher } from "../../integrity/publish/publisher.ts";
import { webhookPublisher } from "../../integrity/publish/webhook.ts";
import { witnessPublisher } from "../../integrity/publish/witness.ts";
import { publicKey } from "../../keys/vkeys.ts";
import { quoted } from "../../text/words.ts";
import { collect } from "./collect.ts";

/** The variable that holds the secret that signs webhooks; with `_FILE` appended, the name of a file that holds it. */
const WEBHOOK_SECRET_VARIABLE = "SECLOG_WEBHOOK_SECRET";

/** The options of {@link addPublishOptions}, as commander parses them. */
export interface PublishOptions {
  readonly checkpointFile?: readonly string[];
  readonly webhook?: readonly string[];
  readonly git?: readonly string[];
  readonly witness?: readonly string[];
  readonly publishEvery: string;
}

/** What the options configure. */
export interface ConfiguredPublishers {
  readonly publishers: readonly Publisher[];
  readonly everyMs: number;
}

/** Adds the options that say where to publish checkpoints. */
export function addPublishOptions(command: Command): Command {
  return command
    .option(
      "--checkpoint-file <file>",
      "append each checkpoint to this file (repeatable, like the next three)",
      collect,
    )
    .option("--webhook <url>", `POST each checkpoint there, signed with ${WEBHOOK_SECRET_VARIABLE}`, collect)
    .option("--git <directory>", "commit each checkpoint in this work tree, and push it if an upstream is set", collect)
    .option(
      "--witness <vkey-and-url>",
      "have each checkpoint cosigned there (c2sp.org/tlog-witness): 'VKEY URL'",
      collect,
    )
    .option("--publish-every <seconds>", "the least time between two checkpoints to one place", "10");
}

/**
 * Makes the publishers that the options name.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function publishersOf(options: PublishOptions): ConfiguredPublishers {
  const seconds = Number(options.publishEvery);
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(options.publishEvery) || seconds > 86_400) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--publish-every ${quoted(options.publishEvery)} is not a number of seconds from 0 to 86400`,
    );
  }
  const { checkpointFile = [], webhook = [], git = [], witness = [] } = options;
  const publishers = [
    ...checkpointFile.map((path) => filePublisher(path)),
    ...(webhook.length === 0 ? [] : webhooks(webhook)),
    ...git.map((directory) => gitPublisher(directory)),
    ...witness.map(witnessOf),
  ];
  return { publishers, everyMs: seconds * 1000 };
}

function webhooks(addresses: readonly string[]): Publisher[] {
  const secret = optionalSecretUrl("environment", {}, WEBHOOK_SECRET_VARIABLE);
  if (secret === undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${WEBHOOK_SECRET_VARIABLE} is not set: set it, or ${WEBHOOK_SECRET_VARIABLE}_FILE, to the whsec_… secret of the receiver`,
    );
  }
  return addresses.map((address, index) => {
    const publisher = webhookPublisher(address, secret);
    // Numbered, since the names leave out the paths, which may be secret.
    return addresses.length === 1 ? publisher : { ...publisher, name: `${publisher.name} (${index + 1})` };
  });
}

function witnessOf(value: string): Publisher {
  const [vkey = "", address = "", ...more] = value.trim().split(/\s+/);
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || more.length > 0 || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    // Does not quote the value: a malformed URL may hold a password anywhere.
    throw new SeclogError("SECLOG_CONFIG", "--witness must be the witness's vkey, a space and its http(s):// URL");
  }
  if (url.username !== "" || url.password !== "") {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `--witness: the URL of ${url.host} contains a user, which is never sent: remove it`,
    );
  }
  return witnessPublisher(publicKey("--witness", vkey, "cosignature"), url);
}
