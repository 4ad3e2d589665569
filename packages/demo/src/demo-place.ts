/** Where the demo keeps its files, and whether it can: the folders, the port, and the passwords of the log's roles. */
import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolder } from "@seclog/server/for-demo/folders";

/** An error that the person at the terminal can fix; the message says how. */
export class DemoError extends Error {}

/** The demo's folders and port. */
export interface Place {
  /** The folder of the person at the terminal: npm runs a script in its package, wherever it was called from. */
  readonly here: string;
  /** The sample shop, as the build copied it into this package. */
  readonly shop: string;
  readonly data: string;
  readonly shopData: string;
}

export function findPlace(): Place {
  const shop = fileURLToPath(new URL("../shop", import.meta.url));
  if (!existsSync(join(shop, "dist", "server.js"))) {
    throw new DemoError("The sample shop is not built: run npm run build in the repository, then again.");
  }
  const here = process.env["INIT_CWD"] ?? process.cwd();
  const data = process.env["SECLOG_DATA_DIR"] ? resolve(here, process.env["SECLOG_DATA_DIR"]) : resolve("var");
  return { here, shop, data, shopData: join(data, "shop") };
}

export function readPort(): number {
  const text = process.env["PORT"] || "3000";
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new DemoError(`PORT must be a number from 0 to 65535, not "${text}".`);
  return port;
}

export function makeDirectory(directory: string): void {
  try {
    makeFolder(directory);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new DemoError(
      `The data directory ${directory} cannot be used (${code}): make it a folder that you can write to, or set SECLOG_DATA_DIR to another.`,
    );
  }
}

export async function checkPort(port: number): Promise<void> {
  await new Promise<void>((done, failed) => {
    const probe = createServer();
    probe.once("error", ({ code }: NodeJS.ErrnoException) => {
      const why = code === "EADDRINUSE" ? "is in use" : `cannot be used (${code})`;
      failed(new DemoError(`Port ${port} on 127.0.0.1 ${why}: set PORT to a free one.`));
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => done()));
  });
}

/**
 * The connection URLs of the log's roles, in files that only we can read. The passwords are drawn once and kept; the
 * server's port differs at every start.
 */
export function keepUrls(
  data: string,
  port: number,
): { readonly [R in "writer" | "reader" | "sealer" | "relay"]: string } {
  const url = (role: string): string => {
    const file = join(data, `${role}-url`);
    const password = keptPassword(file) ?? randomBytes(24).toString("base64url");
    const text = `postgresql://seclog_demo_${role}:${password}@127.0.0.1:${port}/seclog`;
    writePrivately(file, `${text}\n`);
    return text;
  };
  const writer = url("writer");
  const reader = url("reader");
  const sealer = url("sealer");
  const relay = url("relay");
  const { username, password } = new URL(reader);
  writePrivately(
    join(data, "pg_service.conf"),
    `[seclog]\nhost=127.0.0.1\nport=${port}\ndbname=seclog\nuser=${username}\npassword=${password}\n`,
  );
  return { writer, reader, sealer, relay };
}

function keptPassword(file: string): string | undefined {
  try {
    return new URL(readFileSync(file, "utf8").trim()).password || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes a file that only its owner can read, and returns its path. Renames it into place, so that a reader never sees
 * half of it and an older file's wider mode is not kept.
 */
export function writePrivately(file: string, text: string): string {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return file;
}
