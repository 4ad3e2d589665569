/** An event in QRadar's Log Event Extended Format. */
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { VERSION } from "../event/version.ts";
import { visibleText } from "../event/visible.ts";
import { dataText, epochMs, sentMethod } from "./described.ts";

/** LEEF's severities, from 1 to 10. */
const SEVERITIES: { readonly [L in Level]: number } = { debug: 1, info: 3, warning: 6, error: 8, critical: 10 };

/**
 * An event in LEEF 2.0, without a line end: `LEEF:2.0|Seclog|Seclog|…|authz_fail|x09|…`. The attributes are separated by
 * tabs, and use QRadar's predefined keys where it has one; the others have the table's column names. LEEF knows no escape,
 * so a tab or a line end within a value is shown as `\t` or `\n`.
 */
export function leefMessage(event: SecurityEvent): string {
  const attributes: readonly (readonly [key: string, value: string | number | undefined])[] = [
    ["cat", event.category],
    ["sev", SEVERITIES[event.level]],
    ["devTime", epochMs(event.occurredAt)],
    ["id", event.id],
    ["source_id", event.sourceId],
    ["seq", event.seq],
    ["level", event.level],
    ["outcome", event.outcome],
    ["reason", dataText(event, "reason")],
    ["src", event.ipAddress],
    ["usrName", event.actorId],
    ["role", event.actorType],
    ["target_id", event.targetId],
    ["target_type", event.targetType],
    ["identHostName", event.host],
    ["service", event.service],
    ["request_host", event.requestHost],
    ["method", sentMethod(event)],
    ["url", event.path],
    ["route", event.route],
    ["status_code", event.statusCode],
    ["user_agent", event.userAgent],
    ["request_id", event.requestId],
    ["trace_id", event.traceId],
    ["count", event.count],
    ["data", event.data === undefined ? undefined : JSON.stringify(event.data)],
  ];
  const header = ["LEEF:2.0", "Seclog", "Seclog", VERSION, event.type].map((text) =>
    visibleText(text).replaceAll("|", "_"),
  );
  const pairs = attributes.filter(([, value]) => value !== undefined);
  return `${header.join("|")}|x09|${pairs.map(([key, value]) => `${key}=${visibleText(String(value))}`).join("\t")}`;
}
