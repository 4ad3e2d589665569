/** Seclog's core: `createSecurityLog`, its options and its types. */

export {
  ALIASES as EVENT_ALIASES,
  CATALOGUE,
  type Catalogue,
  type CatalogueData,
  type DataOf,
} from "./event/catalogue.ts";
export { defineEvents, type EventDefinitionOptions } from "./event/define-events.ts";
export type { EventDefinition, EventDefinitions, EventSchema } from "./event/definition.ts";
export { DURABILITIES, type Durability } from "./event/durability.ts";
export { decodeEvent, encodeEvent, eventToJson } from "./event/encode.ts";
export { ERROR_CODES, type ErrorCode, errorMessage, SeclogError } from "./event/errors.ts";
export {
  type CorePart,
  EVENT_VERSION,
  type EventNotes,
  type IpSource,
  OUTCOMES,
  type Outcome,
  type PersonalPart,
  type SecurityEvent,
} from "./event/event.ts";
export type { JsonObject, JsonValue } from "./event/json.ts";
export { isLevel, LEVELS, type Level } from "./event/level.ts";
export { visibleJson, visibleText } from "./event/visible.ts";
export { createSecurityLog } from "./log/create-security-log.ts";
export type { DevelopmentLogOptions, SecurityLogOptions } from "./log/options.ts";
export type { SpoolDirectoryOptions, SpoolOption } from "./pipeline/open-pipeline.ts";
export type { ClientIpOptions } from "./record/client-ip.ts";
export { currentRequest, runWithRequest, setActor } from "./record/context.ts";
export type { EventFacts, EventInput, EventType, Party } from "./record/facts.ts";
export type { FailedLoginsOptions } from "./record/failed-logins.ts";
export type { HandlerHealth, Health, HealthError, LeftBehind } from "./record/health.ts";
export type { AddressBits, PrivacyClass, RedactOptions } from "./record/redact.ts";
export type { Diagnostic, Receipt, SecurityLog } from "./record/security-log.ts";
export { type StoredColumn, storedText, type TextColumn } from "./record/stored-text.ts";
export type { EventBatch, SecurityEventHandler } from "./ship/handler.ts";
