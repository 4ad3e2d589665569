import { isIPv4 } from "node:net";
import { storedText } from "seclog";

/**
 * The first address of an address's network, in stored form.
 *
 * @param address an address in stored form
 * @param bits the prefix length, 0 to 32 or 128
 */
export function networkOf(address: string, bits: number): string {
  const four = isIPv4(address);
  const width = four ? 8 : 16;
  const kept = (four ? address.split(".").map(Number) : groupsOf(address)).map((group, index) => {
    const cleared = width - Math.min(width, Math.max(0, bits - index * width));
    return (group >> cleared) << cleared;
  });
  const text = four ? kept.join(".") : kept.map((group) => group.toString(16)).join(":");
  return storedText("ipAddress", text) ?? text;
}

/** The eight groups of an IPv6 address. A URL never writes any of them dotted. */
function groupsOf(address: string): readonly number[] {
  const [left = [], right = []] = new URL(`http://[${address}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((half) => (half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16))));
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
