/** What a Seclog security event log can be asked: fields, query language, HTTP API and a typed client. */
export { type Network, readNetwork } from "./address.ts";
export {
  type ApiClient,
  type ApiClientOptions,
  ApiError,
  apiClient,
  type Selection,
  type StreamItem,
} from "./client.ts";
export type {
  ApiFailure,
  CatalogueResult,
  CountResult,
  EntityDetail,
  EventDetail,
  EventProof,
  EventsPage,
  FacetsResult,
  IntegrityResult,
  Progress,
  Right,
  SessionResult,
  SourceRecord,
  SourcesResult,
  Tally,
  TimelineBucket,
  TimelineResult,
  UserRole,
  UsersResult,
  VerificationCheck,
  VerificationState,
  ViewRecord,
  ViewsResult,
} from "./contract.ts";
export type { EventRecord } from "./event-record.ts";
export {
  FIELD_NAMES,
  FIELDS,
  type Field,
  type FieldKind,
  type FieldName,
  fieldNamed,
  LEVELS,
  OUTCOMES,
  TEXT_COLUMNS,
} from "./fields.ts";
export { matchQuery, PERSON_KEYS } from "./match.ts";
export { type Moment, readMoment } from "./moment.ts";
export { suggestions } from "./nearest.ts";
export { parseQuery } from "./parse.ts";
export { printQuery } from "./print.ts";
export {
  both,
  EVERYTHING,
  mapTerms,
  type Operator,
  type Query,
  type Term,
  type TextTerm,
  termsOf,
  type Value,
} from "./query.ts";
export { QueryError } from "./query-error.ts";
export { type Completion, type Completions, type KnownValues, suggest } from "./suggest.ts";
export { inJson, needlesOf } from "./texts.ts";
export { resolveTimes, type TimeRange, timeRange } from "./times.ts";
