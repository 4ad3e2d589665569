/** An event in ArcSight's Common Event Format. */
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { VERSION } from "../event/version.ts";
import { visibleText } from "../event/visible.ts";
import { dataText, descriptionOf, epochMs, sentMethod } from "./described.ts";

/** CEF's 0 to 3 are low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high. */
const SEVERITIES: { readonly [L in Level]: number } = { debug: 0, info: 3, warning: 6, error: 8, critical: 10 };

/**
 * An event in CEF 0 (ArcSight Common Event Format, revision 26), without a line end: `CEF:0|Seclog|Seclog|…|authz_fail|…`.
 * `externalId` identifies the event. What CEF has no key for is in `cs1` to `cs6`, each with its label; the event's data
 * are JSON in `cs6`.
 */
export function cefMessage(event: SecurityEvent): string {
  const isV6 = event.ipAddress?.includes(":") === true;
  const extension: readonly (readonly [key: string, value: string | number | undefined])[] = [
    ["rt", epochMs(event.occurredAt)],
    ["externalId", event.id],
    ["cat", event.category],
    ["outcome", event.outcome],
    ["reason", dataText(event, "reason")],
    ["cnt", event.count],
    ["start", event.startedAt === undefined ? undefined : epochMs(event.startedAt)],
    ["end", event.endedAt === undefined ? undefined : epochMs(event.endedAt)],
    ["dvchost", event.host],
    ["src", isV6 ? undefined : event.ipAddress],
    ["suid", event.actorId],
    ["spriv", event.actorType],
    ["duid", event.targetId],
    ["dhost", event.requestHost],
    ["requestMethod", sentMethod(event)],
    ["request", event.path],
    ["requestClientApplication", event.userAgent],
    ["fname", dataText(event, "filename")],
    ...labelled("c6a2", "Source IPv6 Address", isV6 ? event.ipAddress : undefined),
    ...labelled("cn1", "status code", event.statusCode),
    ...labelled("cn2", "seq", event.seq),
    ...labelled("cs1", "service", event.service),
    ...labelled("cs2", "source", event.sourceId),
    ...labelled("cs3", "route", event.route),
    ...labelled("cs4", "request id", event.requestId),
    ...labelled("cs5", "trace id", event.traceId),
    ...labelled("cs6", "data", event.data === undefined ? undefined : JSON.stringify(event.data)),
  ];
  const header = ["CEF:0", "Seclog", "Seclog", VERSION, event.type, descriptionOf(event)].map(headerText);
  const pairs = extension.filter(([, value]) => value !== undefined);
  return `${header.join("|")}|${SEVERITIES[event.level]}|${pairs
    .map(([key, value]) => `${key}=${extensionText(String(value))}`)
    .join(" ")}`;
}

function labelled(
  key: string,
  label: string,
  value: string | number | undefined,
): readonly (readonly [string, string | number])[] {
  return value === undefined
    ? []
    : [
        [key, value],
        [`${key}Label`, label],
      ];
}

function headerText(text: string): string {
  return visibleText(text).replace(/[\\|]/g, "\\$&");
}

/** `\`, `=` and line ends are escaped as CEF demands. Other characters that a terminal obeys are shown. */
function extensionText(text: string): string {
  const lines = text.split(/(\r|\n)/);
  return lines
    .map((part) => (part === "\n" ? "\\n" : part === "\r" ? "\\r" : visibleText(part).replace(/[\\=]/g, "\\$&")))
    .join("");
}
