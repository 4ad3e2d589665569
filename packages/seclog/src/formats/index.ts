/** Events in the forms that other programs read. Every function is pure, and none fails whatever an event contains. */
export { cefMessage } from "./cef.ts";
export { csvHeader, csvLine } from "./csv.ts";
export { ecsDocument, ecsLine } from "./ecs.ts";
export { leefMessage } from "./leef.ts";
export { readableLine } from "./line.ts";
export { ndjsonLine } from "./ndjson.ts";
export { OCSF_VERSIONS, type OcsfOptions, type OcsfSeal, ocsfEvent, ocsfLine } from "./ocsf.ts";
export {
  type OtlpAttribute,
  type OtlpLogRecord,
  type OtlpLogs,
  type OtlpValue,
  otlpLogs,
  otlpProtobuf,
  otlpRecord,
} from "./otlp.ts";
export { owaspEvent, owaspLine } from "./owasp.ts";
export { SYSLOG_BODIES, type SyslogBody, type SyslogFormatOptions, syslogMessage } from "./syslog.ts";
