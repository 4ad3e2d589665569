/** The named networks, and which of them contains an address. */
import { BlockList } from "node:net";

/** The names that `clientIp.trust` accepts. */
export const NETWORKS: { readonly [name: string]: readonly string[] } = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  // RFC 1918 and RFC 4193.
  private: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
};

/** Between a carrier or a cloud and its customers (RFC 6598). */
const CARRIER: readonly string[] = ["100.64.0.0/10"];

const near: readonly (readonly [name: string, list: BlockList])[] = Object.entries({
  ...NETWORKS,
  carrier: CARRIER,
}).map(([name, networks]) => {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits), familyOf(address));
  }
  return [name, list];
});

/** The network of an address that is not public: `loopback`, `linklocal`, `private` or `carrier`. */
export function nearNetwork(address: string): string | undefined {
  return near.find(([, list]) => list.check(address, familyOf(address)))?.[0];
}

export function familyOf(address: string): "ipv4" | "ipv6" {
  return address.includes(":") ? "ipv6" : "ipv4";
}
