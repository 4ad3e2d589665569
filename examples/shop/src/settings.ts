import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Account, hashPassword } from "./accounts.ts";

/** The shop's settings, from its environment and its folder. */
export interface Settings {
  /** `PORT`, 3000 by default. */
  readonly port: number;
  /** `HOST`, 127.0.0.1 by default. */
  readonly host: string;
  /** `SHOP_DATA_DIR`, `./var` by default. */
  readonly directory: string;
  /** `TRUST_PROXY`: the proxies in front, as Express names them, such as `loopback`. None by default. */
  readonly trustProxy: string | false;
  /** Sends cookies over TLS only. On in production. */
  readonly secureCookies: boolean;
  readonly csrfSecret: string;
  /** The secret with which the payment provider signs its webhooks: `whsec_…`. */
  readonly webhookSecret: string;
  readonly accounts: readonly Account[];
}

/** The passwords and the webhook secret that the first start generates, for the person who started it. */
interface Credentials {
  readonly passwords: { readonly [accountId: string]: string };
  readonly webhookSecret: string;
}

/**
 * Reads the settings. At the first start, without accounts, the shop creates two with random passwords and writes those
 * to `credentials.json`, which only its own user can read.
 */
export async function readSettings(environment: NodeJS.ProcessEnv = process.env): Promise<Settings> {
  const port = Number(environment["PORT"] ?? 3000);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`PORT must be 0 to 65535, not ${port}`);
  const directory = resolve(environment["SHOP_DATA_DIR"] ?? "var");
  mkdirSync(directory, { recursive: true, mode: 0o700 });

  const credentials = readJson<Credentials>(join(directory, "credentials.json")) ?? newCredentials(directory);
  const accountsFile = join(directory, "accounts.json");
  let accounts = readJson<readonly Account[]>(accountsFile);
  if (accounts === undefined) {
    accounts = [
      { id: "ada", name: "Ada", role: "customer", password: await hash(credentials, "ada") },
      { id: "grace", name: "Grace", role: "admin", password: await hash(credentials, "grace") },
    ];
    writePrivately(accountsFile, accounts);
  }
  return {
    port,
    host: environment["HOST"] ?? "127.0.0.1",
    directory,
    trustProxy: environment["TRUST_PROXY"] || false,
    secureCookies: environment["NODE_ENV"] === "production",
    csrfSecret: randomBytes(32).toString("base64"),
    webhookSecret: credentials.webhookSecret,
    accounts,
  };
}

function newCredentials(directory: string): Credentials {
  const password = (): string => randomBytes(12).toString("base64url");
  const credentials: Credentials = {
    passwords: { ada: password(), grace: password() },
    webhookSecret: `whsec_${randomBytes(24).toString("base64")}`,
  };
  writePrivately(join(directory, "credentials.json"), credentials);
  return credentials;
}

function hash(credentials: Credentials, id: string): Promise<string> {
  const password = credentials.passwords[id];
  if (password === undefined)
    throw new Error(`credentials.json has no password for "${id}": delete it to generate new ones`);
  return hashPassword(password);
}

function readJson<T>(file: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  return JSON.parse(text) as T;
}

function writePrivately(file: string, value: object): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  chmodSync(file, 0o600);
}
