/** The options of commands that serve HTTP: where they listen, and how many connections they accept. */
import type { Command } from "commander";
import { SeclogError } from "seclog";
import type { ConnectionLimits } from "../../http/connection-shares.ts";
import type { ListenAddress } from "../../http/service.ts";
import { quoted } from "../../text/words.ts";
import { parseCount } from "./numbers.ts";

/** `HOST:PORT`, `[::1]:PORT`. @throws SeclogError `SECLOG_CONFIG` */
export function parseListen(text: string): ListenAddress {
  const [, ipv6, name, digits = ""] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new SeclogError("SECLOG_CONFIG", `--listen ${quoted(text)} is not HOST:PORT, such as 127.0.0.1:8080`);
}

/** The options of {@link connectionLimits}, as commander parses them. */
export interface ConnectionOptions {
  readonly connections: string;
  readonly connectionsPerAddress: string;
}

/** Adds the options that limit connections. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option("--connections <number>", "the most open connections", "512")
    .option("--connections-per-address <number>", "the most from one address, or one IPv6 /64", "64");
}

/** @throws SeclogError `SECLOG_CONFIG` */
export function connectionLimits(options: ConnectionOptions): ConnectionLimits {
  return {
    total: parseCount("--connections", options.connections, 99_999),
    perAddress: parseCount("--connections-per-address", options.connectionsPerAddress, 99_999),
  };
}
