/**
 * Warns, once each, about proxies that the options do not name, and about settings that trust every peer. Either makes
 * the addresses of all events worthless, and neither is visible in an event.
 */
import { type FrameworkProxy, trustsEverybody } from "./framework-proxy.ts";
import { UNIX_PEER } from "./peer.ts";

/** The headers in which proxies pass on an address. The warning names the first that a request has. */
const HEADERS = [
  "x-forwarded-for",
  "forwarded",
  "x-real-ip",
  "cf-connecting-ip",
  "true-client-ip",
  "fastly-client-ip",
  "fly-client-ip",
  "x-client-ip",
] as const;

/** The `clientIp` options so far. */
interface Known {
  readonly trust?: readonly string[] | undefined;
  readonly header?: string | undefined;
}

/** Issues each warning once in a log's life. */
export class ProxyAdvice {
  readonly #known: Known;
  readonly #warn: (message: string) => void;
  readonly #warned = new Set<string>();
  readonly #judged = new WeakSet<object>();

  constructor(known: Known, warn: (message: string) => void) {
    this.#known = known;
    this.#warn = warn;
  }

  /**
   * Warns about a peer that is not trusted, although it is near enough to be a proxy.
   *
   * @param network the peer's network by name, or {@link UNIX_PEER}
   */
  untrusted(network: string, peer: string, headers: (name: string) => string | undefined): void {
    // `trust: []` distrusts every proxy on purpose.
    if (this.#known.trust?.length === 0 || this.#warned.has(network)) return;
    const header = HEADERS.find((name) => headers(name) !== undefined);
    if (header === undefined) return;
    this.#warned.add(network);
    const trust = JSON.stringify([...(this.#known.trust ?? []), entryOf(network, peer)]);
    const read = this.#known.header ?? header;
    const line = read === "x-forwarded-for" ? `{ trust: ${trust} }` : `{ trust: ${trust}, header: "${read}" }`;
    this.#warn(
      `requests from ${peer === UNIX_PEER ? "a Unix socket" : peer} carry ${header}, which is not believed, so their ` +
        `events lack the client's address. If they come from your proxy, give createSecurityLog clientIp: ${line}`,
    );
  }

  /** Warns about a framework that trusts every peer. */
  framework(framework: FrameworkProxy, network: string | undefined, peer: string): void {
    if (this.#judged.has(framework.owner)) return;
    this.#judged.add(framework.owner);
    if (this.#warned.has(framework.setting) || !trustsEverybody(framework)) return;
    this.#warned.add(framework.setting);
    this.#warn(
      `${framework.setting} believes everybody, so anyone can forge the address of an event. ` +
        `Name your proxy instead: ${framework.instead(entryOf(network, peer))}`,
    );
  }
}

/** The network's name if it contains only this machine, else the address alone. */
function entryOf(network: string | undefined, peer: string): string {
  return network === "loopback" || network === UNIX_PEER ? network : peer;
}
