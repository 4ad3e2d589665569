/** Signs of an attack that a request carries itself, whatever the application answers. */
import { PROBES, TOOL } from "./scanners.ts";

type Headers = { readonly [name: string]: string | readonly string[] | undefined };

/** More of a target than any attack needs to be recognised by. */
const LONGEST_TARGET = 2_048;

/** `..` between slashes of any spelling, also encoded twice; and the end of a C string. */
const TRAVERSAL =
  /(?:^|[/\\=]|%(?:25)*2f|%(?:25)*5c)(?:\.|%(?:25)*2e){2}(?:[/\\]|%(?:25)*2f|%(?:25)*5c|$|[?#])|%(?:25)*00/i;

/** Whether a target climbs out of a folder: `/files/..%2F..%2Fboot.ini`. */
export function climbs(target: string): boolean {
  // Most targets have neither two dots nor a percent sign.
  if (!target.includes("..") && !target.includes("%")) return false;
  return TRAVERSAL.test(target.slice(0, LONGEST_TARGET));
}

/** Whether a target is one that scanners try everywhere: `/.env`, `/wp-login.php`. */
export function probes(target: string): boolean {
  return PROBES.test(target.slice(0, LONGEST_TARGET));
}

/** The agents that were looked at last: most requests have one of a few. `null` stands for one that is not a tool. */
const agents = new Map<string, string | null>();
const REMEMBERED = 500;
const LONGEST_AGENT = 512;

/** The attack tool that a user agent names; `undefined` for any other. */
export function attackToolOf(agent: string | undefined): string | undefined {
  if (agent === undefined || agent === "") return undefined;
  const known = agents.get(agent);
  if (known !== undefined) return known ?? undefined;
  const name = TOOL.exec(agent.slice(0, LONGEST_AGENT))?.[0].toLowerCase().replace(/\W+$/, "") ?? null;
  // Its earlier versions spell it out, and no more.
  const found = name === "fuzz faster" ? "ffuf" : name;
  if (agents.size >= REMEMBERED) agents.clear();
  if (agent.length <= LONGEST_AGENT) agents.set(agent, found);
  return found ?? undefined;
}

/** The header in which a sender signs its webhooks, and the sender; Standard Webhooks have many. */
const SIGNATURES: readonly (readonly [header: string, provider: string | undefined])[] = [
  ["stripe-signature", "stripe"],
  ["x-hub-signature-256", "github"],
  ["x-hub-signature", "github"],
  ["x-gitlab-token", "gitlab"],
  ["x-slack-signature", "slack"],
  ["x-shopify-hmac-sha256", "shopify"],
  ["x-twilio-signature", "twilio"],
  ["x-twilio-email-event-webhook-signature", "sendgrid"],
  ["paypal-transmission-sig", "paypal"],
  ["x-square-hmacsha256-signature", "square"],
  ["paddle-signature", "paddle"],
  ["x-line-signature", "line"],
  ["x-signature-ed25519", "discord"],
  ["linear-signature", "linear"],
  ["x-zm-signature", "zoom"],
  ["svix-signature", "svix"],
  ["webhook-signature", undefined],
];

/** The sender that signed a request; `undefined` for a request that is not a signed webhook. */
export function signedBy(method: string, headers: Headers): { readonly provider: string | undefined } | undefined {
  if (method !== "POST") return undefined;
  for (const [header, provider] of SIGNATURES) if (headers[header] !== undefined) return { provider };
  return undefined;
}

/**
 * The origin of a request that another site's page makes; `undefined` for any other. A browser says so itself in
 * `Sec-Fetch-Site`. Without it, the origin is compared with the host that the client or its proxy names.
 */
export function foreignOrigin(headers: Headers): string | undefined {
  const { origin, host } = headers;
  if (typeof origin !== "string") return undefined;
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "cross-site" ? origin : undefined;
  const own = [host, headers[":authority"], headers["x-forwarded-host"]];
  const name = URL.canParse(origin) ? new URL(origin).host : origin;
  return own.some((one) => typeof one === "string" && one.toLowerCase() === name) ? undefined : origin;
}
