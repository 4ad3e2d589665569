/**
 * Finds the client's address. The socket's peer is the only one that cannot be forged. A proxy appends the one it saw
 * to a header, after whatever the client wrote there. So the header is read from its right end, as far as its writers
 * are known and trusted, and the first address that is not trusted is the client's. Anything to the left of that is
 * hearsay and is ignored.
 */
import { BlockList, isIP } from "node:net";
import { canonicalAddress } from "../event/address.ts";
import type { IpSource } from "../event/event.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { forwardedFor, forwardedHops, MOST_HOPS } from "./forwarded-header.ts";
import { frameworkClient } from "./framework-proxy.ts";
import { familyOf, NETWORKS, nearNetwork } from "./networks.ts";
import { UNIX_PEER } from "./peer.ts";
import { ProxyAdvice } from "./proxy-advice.ts";

/** How to find the client's address. */
export interface ClientIpOptions {
  /**
   * The application's own proxies: addresses, networks (`10.0.0.0/8`), or the names `loopback`, `linklocal`, `private`
   * and `unix`, the peer of a Unix socket. `[]` trusts no proxy, whatever the framework's settings are.
   *
   * @default what the framework trusts (Express's `trust proxy`, Fastify's `trustProxy`, Koa's `app.proxy`), else
   *   none: the address is that of the socket's peer
   */
  readonly trust?: readonly string[] | undefined;
  /**
   * The header that those proxies write: `x-forwarded-for`, `forwarded` (RFC 7239), or another that holds one
   * address, such as `cf-connecting-ip`. Only this one is read.
   *
   * @default "x-forwarded-for"
   */
  readonly header?: string | undefined;
}

/** The client's address and how it was found. */
export interface ClientIp {
  readonly ipAddress?: string;
  readonly ipSource?: IpSource;
  /** The header's value and the peer; only if a header was read. */
  readonly ipChain?: string;
}

/** Finds the client's address. Never throws, unless `header` does. */
export interface ClientIpReader {
  /**
   * @param peer the socket's remote address, or {@link UNIX_PEER}
   * @param header the value of a header of the request
   * @param request the framework's request, for what the framework trusts
   */
  read(peer: string | undefined, header: (name: string) => string | undefined, request?: object): ClientIp;
}

/** The most addresses to remember: clients choose them. */
const REMEMBERED = 1000;

/** A canonical address, and whether it is one of the application's proxies. */
interface Peer {
  readonly address: string | undefined;
  readonly trusted: boolean;
  /** The near network that contains it: only there could it be a proxy that the options do not name. */
  readonly near: string | undefined;
}

const NOTHING: ClientIp = Object.freeze({});

/**
 * @param warn is called once for a proxy that the options do not name, and once for a framework that trusts every peer
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value at fault.
 */
export function createClientIp(
  options: ClientIpOptions = {},
  warn: (message: string) => void = () => {},
): ClientIpReader {
  rejectUnknownOptions("clientIp", options, ["trust", "header"]);
  const trust = options.trust ?? [];
  if (!Array.isArray(trust)) throw configError("clientIp", "trust", "must be a list of addresses, networks and names");
  const proxies = new BlockList();
  for (const entry of trust as readonly unknown[]) {
    if (typeof entry !== "string")
      throw configError("clientIp", "trust", `has ${String(entry)}, which is not a string`);
    if (entry === UNIX_PEER) continue;
    for (const network of Object.hasOwn(NETWORKS, entry) ? (NETWORKS[entry] ?? []) : [entry]) trustIn(proxies, network);
  }
  const header = headerOption(options.header, trust.length > 0);
  const advice = new ProxyAdvice(options, warn);
  const unix: Peer = { address: undefined, trusted: trust.includes(UNIX_PEER), near: UNIX_PEER };

  const known = new Map<string, Peer>();
  const peerOf = (text: string): Peer => {
    let peer = known.get(text);
    if (peer === undefined) {
      const address = parseAddress(text);
      const trusted = address !== undefined && proxies.check(address, familyOf(address));
      peer = { address, trusted, near: address === undefined ? undefined : nearNetwork(address) };
      if (known.size >= REMEMBERED) known.clear();
      // A copy: the text may be a slice of a long header, which it would keep in memory.
      if (text.length <= 64) known.set(Buffer.from(text).toString(), peer);
    }
    return peer;
  };

  const peerItself = ({ address }: Peer): ClientIp =>
    address === undefined ? NOTHING : { ipAddress: address, ipSource: "socket" };

  return {
    read(peerText, readHeader, request) {
      if (typeof peerText !== "string" || peerText === "") return NOTHING;
      const peer = peerText === UNIX_PEER ? unix : peerOf(peerText);
      if (peer.address === undefined && peer !== unix) return { ipSource: "invalid", ipChain: peerText };
      const framework =
        options.trust === undefined && request !== undefined
          ? frameworkClient(request, peerText, readHeader)
          : undefined;
      if (framework !== undefined) {
        advice.framework(framework.proxy, peer.near, peer.address ?? peerText);
        const { address } = peerOf(framework.client);
        const ipChain = `${framework.value}, ${peerText}`;
        if (address === undefined) return { ipSource: "invalid", ipChain };
        const ipSource = framework.header === "x-forwarded-for" ? framework.header : "header";
        return { ipAddress: address, ipSource, ipChain };
      }
      if (header === undefined || !peer.trusted) {
        if (peer.near !== undefined) advice.untrusted(peer.near, peer.address ?? peerText, readHeader);
        return peerItself(peer);
      }
      const value = readHeader(header);
      if (value === undefined || value.trim() === "") return peerItself(peer);

      const ipChain = `${value}, ${peerText}`;
      if (header !== "x-forwarded-for" && header !== "forwarded") {
        const { address } = peerOf(value.trim());
        return address === undefined
          ? { ipSource: "invalid", ipChain }
          : { ipAddress: address, ipSource: "header", ipChain };
      }
      let furthest: string | undefined;
      let hops = 0;
      for (const hop of header === "forwarded" ? forwardedFor(value) : forwardedHops(value)) {
        const { address, trusted } = peerOf(hop);
        // To the left of an invalid hop, no address can be trusted.
        if (address === undefined) return { ipSource: "invalid", ipChain };
        furthest = address;
        if (!trusted || ++hops === MOST_HOPS) break;
      }
      return furthest === undefined ? peerItself(peer) : { ipAddress: furthest, ipSource: header, ipChain };
    },
  };
}

function headerOption(header: string | undefined, trusts: boolean): string | undefined {
  if (header === undefined) return trusts ? "x-forwarded-for" : undefined;
  if (typeof header !== "string" || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/.test(header)) {
    throw configError("clientIp", "header", `is ${JSON.stringify(header)}, which is not a header name`);
  }
  if (!trusts) {
    throw configError("clientIp", "header", `is ${JSON.stringify(header)}, but trust names no proxy that may write it`);
  }
  return header.toLowerCase();
}

function trustIn(proxies: BlockList, network: string): void {
  const [text = "", bits, ...rest] = network.split("/");
  const mapped = isIP(text) === 6 && parseAddress(text)?.includes(":") === false;
  const address = isIP(text) === 0 ? undefined : parseAddress(text);
  const wrong = (problem: string) => configError("clientIp", "trust", `has ${JSON.stringify(network)}, ${problem}`);
  if (address === undefined || text.includes("%") || rest.length > 0) {
    throw wrong("which is not an address, a network or one of loopback, linklocal, private, unix");
  }
  const family = familyOf(address);
  if (bits === undefined) {
    proxies.addAddress(address, family);
    return;
  }
  const prefix = Number(bits) - (mapped ? 96 : 0);
  if (!/^\d{1,3}$/.test(bits) || prefix < 0 || prefix > (family === "ipv4" ? 32 : 128)) {
    throw wrong("whose prefix length is out of range");
  }
  if (prefix === 0) throw wrong("which trusts everybody: anyone could then name any address as their own");
  proxies.addSubnet(address, prefix, family);
}

/**
 * An address as PostgreSQL's `inet` prints it; `undefined` if the text is not one. A port, brackets and
 * the zone are dropped; an IPv4 address that is mapped into IPv6 becomes the IPv4 address.
 */
export function parseAddress(text: string): string | undefined {
  // The longest is an IPv6 address with a dotted end, a zone and a port.
  if (text.length > 128) return undefined;
  if (isIP(text) === 4) return text;
  let address = text;
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) {
    address = bracketed[1] ?? "";
    if (isIP(address) !== 6) return undefined;
  } else {
    const withPort = /^([\d.]+):\d{1,5}$/.exec(text);
    if (withPort !== null) return isIP(withPort[1] ?? "") === 4 ? withPort[1] : undefined;
  }
  const canonical = canonicalAddress(address.replace(/%.*$/s, ""));
  return canonical?.startsWith("::ffff:") && canonical.includes(".") ? canonical.slice(7) : canonical;
}
