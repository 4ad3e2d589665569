import {
  canonicalType,
  dataIssues,
  definitionOf,
  type EventDefinition,
  type EventDefinitions,
  isEventTypeName,
  UNKNOWN_DEFINITION,
} from "../event/catalogue.ts";
import { encodeImpersonal, encodePersonal, type ImpersonalConstants, impersonalConstants } from "../event/encode.ts";
import { errorMessage } from "../event/errors.ts";
import {
  EVENT_VERSION,
  type ImpersonalPart,
  type Optional,
  OUTCOMES,
  type Outcome,
  type SecurityEvent,
} from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { keepText, NoteTaker } from "../event/text.ts";
import { markCause } from "./causes.ts";
import type { ClientIpReader } from "./client-ip.ts";
import { type EventClock, formatMicros } from "./clock.ts";
import { currentContext } from "./context.ts";
import type { DataEncoder } from "./data.ts";
import type { Redactor } from "./redact.ts";
import { isRequest, requestFacts } from "./request.ts";
import type { EventFacts } from "./security-log.ts";
import { uuidv7 } from "./uuid.ts";

/** What is the same for every event of a log. */
export interface RecorderOptions {
  readonly logger: string;
  readonly service: string | undefined;
  readonly environment: string | undefined;
  readonly host: string | undefined;
  readonly events: EventDefinitions;
  readonly clock: EventClock;
  readonly clientIp: ClientIpReader;
  readonly redactor: Redactor;
  readonly encodeData: DataEncoder;
}

/** Where an event stands in its source. */
export interface Position {
  readonly sourceId: string;
  readonly epoch: number;
  readonly seq: number;
}

/** An event, ready to be kept. */
export interface RecordedEvent {
  readonly id: string;
  /** Its canonical encoding. */
  readonly text: string;
}

/** A type as it is kept, and what is known of it. */
export interface ResolvedType {
  readonly name: string;
  readonly definition: EventDefinition;
  /** What is wrong with the type, when something is. */
  readonly flag: string | undefined;
}

/** The most characters of an id and of its kind. */
const LONGEST_ID = 256;
const LONGEST_KIND = 64;
const LONGEST_ROUTE = 1_024;
const LONGEST_METHODS = 256;

/** Facts that have columns; `data` is given without them. `userid` too: it is the actor. */
const FACTS: ReadonlySet<string> = new Set([
  "actor",
  "target",
  "outcome",
  "statusCode",
  "allowedMethods",
  "route",
  "count",
  "startedAt",
  "endedAt",
  "userid",
] satisfies (keyof EventFacts | "userid")[]);

/** Given as the request, keeps also the current one out of the event. */
export const NO_REQUEST: object = Object.freeze({});

/** An event in the making. */
type Draft = { -readonly [K in keyof SecurityEvent]?: SecurityEvent[K] | undefined };

/** Makes a finished event of a call: facts, redaction, numbers, encoding. Nothing in it throws for what it is given. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #types = new Map<string, ResolvedType>();
  /** The constant parts of the last events, by type, as long as nothing else in them changes. */
  readonly #constants = new Map<
    string,
    { readonly sourceId: string; readonly level: Level; readonly parts: ImpersonalConstants }
  >();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** What is known of a type. Another name than a string of the right form is coerced and flagged. */
  resolve(type: unknown): ResolvedType {
    if (typeof type === "string") {
      const known = this.#types.get(type);
      if (known !== undefined) return known;
      const definition = definitionOf(type, this.#options.events);
      if (definition !== undefined) {
        const resolved = { name: canonicalType(type), definition, flag: undefined };
        this.#types.set(type, resolved);
        return resolved;
      }
    }
    const text = typeof type === "string" ? type : String(typeof type);
    const shown = JSON.stringify(text.slice(0, 100));
    if (typeof type === "string" && isEventTypeName(type)) {
      return { name: type, definition: UNKNOWN_DEFINITION, flag: `unknown type ${shown}` };
    }
    const name =
      text
        .slice(0, 100)
        .toLowerCase()
        .replace(/[^a-z0-9_.:-]+/g, "_") || "unknown";
    return { name, definition: UNKNOWN_DEFINITION, flag: `type ${shown} is no name of an event` };
  }

  /** Notes the cause of a request whose event is below the level, so that capture does not take it for another one. */
  skip(type: ResolvedType, given: unknown): void {
    const request = given ?? currentContext()?.request;
    if (typeof request !== "object" || request === null) return;
    try {
      markCause(request, type.name);
    } catch {
      // A hostile object: it is no request of capture's.
    }
  }

  /** The finished event. */
  record(type: ResolvedType, request: unknown, data: unknown, position: Position): RecordedEvent {
    const micros = this.#options.clock.now();
    const id = uuidv7(micros);
    try {
      return { id, text: this.#encode(id, micros, type, request, data, position) };
    } catch (thrown) {
      // A hostile value found a way to throw that nobody thought of. The event is kept without it.
      const flag = `the event's details could not be read: ${errorMessage(thrown).slice(0, 200)}`;
      return { id, text: this.#encode(id, micros, { ...type, flag }, undefined, undefined, position) };
    }
  }

  #encode(id: string, micros: number, type: ResolvedType, given: unknown, data: unknown, position: Position): string {
    const { logger, service, environment, host, clock, clientIp, redactor, encodeData } = this.#options;
    const { definition } = type;
    const notes = new NoteTaker();
    if (type.flag !== undefined) notes.flag(type.flag);

    let details = data ?? undefined;
    const context = given === NO_REQUEST ? undefined : currentContext();
    let request = given === NO_REQUEST ? undefined : (given ?? context?.request);
    if (request !== undefined && request === given && !isRequest(request)) {
      // Whatever was meant by it is kept: as the data, when there are no others.
      notes.flag("the request argument is no request");
      details ??= given;
      request = context?.request;
    }
    const draft = emptyDraft();
    if (typeof request === "object" && request !== null) {
      markCause(request, type.name);
      requestFacts(request, clientIp, redactor, notes, draft);
    }

    draft.outcome = definition.outcome;
    draft.level = definition.level;
    if (typeof details === "object" && details !== null) {
      const said = details as { readonly [key: string]: unknown };
      const refined = definition.refine?.(said);
      draft.outcome = isOutcome(said["outcome"]) ? said["outcome"] : (refined?.outcome ?? draft.outcome);
      draft.level = refined?.level ?? draft.level;
      for (const issue of dataIssues(definition, details)) notes.flag(issue);
      commonFacts(said, draft, redactor, notes);
      party(said["actor"] ?? said["userid"] ?? context?.actor, "actor", draft, redactor, notes);
      party(said["target"], "target", draft, redactor, notes);
    } else {
      party(context?.actor, "actor", draft, redactor, notes);
    }
    const json = encodeData(details, notes, FACTS);
    if (clock.skew !== 0) notes.flag(`the clock was set back: occurred_at is ${clock.skew} ms ahead of it`);

    draft.id = id;
    draft.occurredAt = formatMicros(micros);
    draft.sourceId = position.sourceId;
    draft.epoch = position.epoch;
    draft.seq = position.seq;
    draft.type = type.name;
    draft.category = definition.category;
    draft.logger = logger;
    draft.service = service;
    draft.environment = environment;
    draft.host = host;
    draft.notes = notes.notes();
    const impersonal = draft as Optional<ImpersonalPart>;
    return `${encodeImpersonal(impersonal, this.#constantsOf(type, impersonal))}\n${encodePersonal(draft, json)}`;
  }

  #constantsOf(type: ResolvedType, event: Optional<ImpersonalPart>): ImpersonalConstants {
    // Only for types that were defined: strangers may choose others, without end.
    if (type.flag !== undefined) return impersonalConstants(event);
    const known = this.#constants.get(type.name);
    if (known !== undefined && known.sourceId === event.sourceId && known.level === event.level) return known.parts;
    const parts = impersonalConstants(event);
    this.#constants.set(type.name, { sourceId: event.sourceId, level: event.level, parts });
    return parts;
  }
}

/** All properties at once: an object that grows one by one is several times slower, and this is the hot path. */
function emptyDraft(): Draft {
  return {
    v: EVENT_VERSION,
    id: undefined,
    occurredAt: undefined,
    sourceId: undefined,
    epoch: undefined,
    seq: undefined,
    type: undefined,
    level: undefined,
    category: undefined,
    outcome: undefined,
    logger: undefined,
    service: undefined,
    environment: undefined,
    host: undefined,
    method: undefined,
    route: undefined,
    statusCode: undefined,
    allowedMethods: undefined,
    count: undefined,
    startedAt: undefined,
    endedAt: undefined,
    actorId: undefined,
    actorType: undefined,
    targetId: undefined,
    targetType: undefined,
    ipAddress: undefined,
    ipSource: undefined,
    ipChain: undefined,
    methodOriginal: undefined,
    path: undefined,
    requestHost: undefined,
    requestId: undefined,
    traceId: undefined,
    spanId: undefined,
    userAgent: undefined,
    notes: undefined,
  };
}

/** The common facts, each only if it is what it should be; what is not is flagged, never believed. */
function commonFacts(
  said: { readonly [key: string]: unknown },
  into: Draft,
  redactor: Redactor,
  notes: NoteTaker,
): void {
  const { outcome, statusCode, allowedMethods, route, count, startedAt, endedAt } = said;
  if (outcome !== undefined && !isOutcome(outcome)) notes.flag("outcome is not success, failure or unknown");
  if (statusCode !== undefined) {
    if (Number.isInteger(statusCode) && Number(statusCode) >= 100 && Number(statusCode) <= 999)
      into.statusCode = Number(statusCode);
    else notes.flag("statusCode is no number from 100 to 999");
  }
  if (allowedMethods !== undefined) {
    const text = Array.isArray(allowedMethods) ? allowedMethods.map(String).join(", ") : String(allowedMethods);
    into.allowedMethods = keepText(redactor.text(text), "allowedMethods", LONGEST_METHODS, notes);
  }
  if (route !== undefined) {
    if (typeof route === "string") into.route = keepText(redactor.text(route), "route", LONGEST_ROUTE, notes);
    else notes.flag("route is no string");
  }
  if (count !== undefined) {
    if (Number.isInteger(count) && Number(count) >= 1 && Number(count) <= 0x7fffffff) into.count = Number(count);
    else notes.flag("count is no whole number from 1 to 2147483647");
  }
  const started = moment(startedAt, "startedAt", notes);
  if (started !== undefined) into.startedAt = started;
  const ended = moment(endedAt, "endedAt", notes);
  if (ended !== undefined) into.endedAt = ended;
}

/** Four-digit years only: PostgreSQL and RFC 3339 agree on those. */
function moment(value: unknown, name: string, notes: NoteTaker): string | undefined {
  if (value === undefined) return undefined;
  const ms = value instanceof Date ? value.getTime() : Number.NaN;
  if (ms >= 0 && ms < 253_402_300_800_000) return formatMicros(ms * 1_000);
  notes.flag(`${name} is no date between 1970 and 9999`);
  return undefined;
}

function party(value: unknown, role: "actor" | "target", into: Draft, redactor: Redactor, notes: NoteTaker): void {
  if (value === undefined || value === null) return;
  const object = typeof value === "object" ? (value as { readonly id?: unknown; readonly type?: unknown }) : undefined;
  const id = object === undefined ? value : object.id;
  if (typeof id !== "string" && typeof id !== "number" && typeof id !== "bigint") {
    notes.flag(`${role} is no id`);
    return;
  }
  into[`${role}Id`] = keepText(redactor.text(String(id)), `${role}Id`, LONGEST_ID, notes);
  if (typeof object?.type === "string") {
    into[`${role}Type`] = keepText(redactor.text(object.type), `${role}Type`, LONGEST_KIND, notes);
  }
}

function isOutcome(value: unknown): value is Outcome {
  return (OUTCOMES as readonly unknown[]).includes(value);
}
