import { isDate } from "node:util/types";
import { canonicalType, definitionOf, UNKNOWN_DEFINITION } from "../event/catalogue.ts";
import { COLUMN_LIST } from "../event/columns.ts";
import { dataIssues, type EventDefinition, type EventDefinitions, isEventTypeName } from "../event/definition.ts";
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
import { cutText, NoteTaker } from "../event/text.ts";
import { senderOf } from "./actor.ts";
import { requestInContext, subjectOf } from "./addressed-request.ts";
import { markCause } from "./causes.ts";
import { clean } from "./clean.ts";
import type { ClientIpReader } from "./client-ip.ts";
import { type EventClock, formatMicros } from "./clock.ts";
import { currentContext } from "./context.ts";
import type { DataEncoder } from "./data.ts";
import { nextSeq, type Position } from "./position.ts";
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

/** An event, ready to be kept as the next one of its source. */
export interface RecordedEvent {
  readonly id: string;
  readonly seq: number;
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
    // A stranger's text too, when it comes to the worst.
    const text = typeof type === "string" ? this.#options.redactor.text(type.slice(0, 1_000)) : typeof type;
    const shown = JSON.stringify(cutText(text, 100));
    if (text === type && isEventTypeName(text)) {
      return { name: text, definition: UNKNOWN_DEFINITION, flag: `unknown type ${shown}` };
    }
    const name =
      text
        .slice(0, 100)
        .toLowerCase()
        .replace(/[^a-z0-9_.:-]+/g, "_") || "unknown";
    return { name, definition: UNKNOWN_DEFINITION, flag: `type ${shown} is no name of an event` };
  }

  /** The level that the data give the event, when the type lets them. */
  refinedLevel(type: ResolvedType, data: unknown): Level | undefined {
    return refinement(type.definition, data ?? {})?.level;
  }

  /** Notes the cause of a request whose event is below the level, so that capture does not take it for another one. */
  skip(type: ResolvedType, given: unknown): void {
    const request = given ?? currentContext()?.request;
    if (typeof request !== "object" || request === null) return;
    markCause(subjectOf(request).causes, type.name);
  }

  /**
   * The finished event, with the next number of its source. It must be kept before the next call.
   *
   * Number, time and id are taken last: until then code of the application's may run (getters, `toJSON`, validators), and that
   * may record events of its own.
   */
  record(type: ResolvedType, request: unknown, data: unknown, position: Position): RecordedEvent {
    try {
      return this.#encode(type, request, data, position);
    } catch (thrown) {
      // A hostile value found a way to throw that nobody thought of. The event is kept without it.
      const flag = `the event's details could not be read: ${errorMessage(thrown)}`;
      return this.#encode({ ...type, flag }, undefined, undefined, position);
    }
  }

  #encode(type: ResolvedType, given: unknown, data: unknown, position: Position): RecordedEvent {
    const { logger, service, environment, host, clock, clientIp, redactor, encodeData } = this.#options;
    const { definition } = type;
    const notes = new NoteTaker(redactor.text);
    if (type.flag !== undefined) notes.flag(type.flag);

    let details = data ?? undefined;
    const context = given === NO_REQUEST ? undefined : currentContext();
    let request: unknown = given === NO_REQUEST ? undefined : requestInContext(given, context?.request);
    if (request !== undefined && request === given && !isRequest(request)) {
      // Whatever was meant by it is kept: as the data, when there are no others, else what fits into a flag.
      const quoted = details === undefined ? "" : `: ${encodeData(given, new NoteTaker()) ?? "{}"}`;
      notes.flag(`the request argument is no request${quoted}`);
      details ??= given as object;
      request = context?.request;
    }
    const draft = emptyDraft();
    const subject = typeof request === "object" && request !== null ? subjectOf(request) : undefined;
    if (subject !== undefined) {
      markCause(subject.causes, type.name);
      requestFacts(subject, clientIp, redactor, notes, draft);
    }

    draft.outcome = definition.outcome;
    draft.level = definition.level;
    let omit = FACTS;
    if (typeof details === "object" && details !== null) {
      const refined = refinement(definition, details);
      draft.outcome = refined?.outcome ?? draft.outcome;
      draft.level = refined?.level ?? draft.level;
      for (const issue of dataIssues(definition, details)) notes.flag(issue);
      const refused = takeFacts(details as Said, draft, redactor, notes);
      if (refused !== undefined) omit = new Set([...FACTS].filter((name) => !refused.includes(name)));
    }
    // Only where the call names nobody: what it names and was not taken is not the context's actor.
    const named = draft.actorId !== undefined || !(omit.has("actor") && omit.has("userid"));
    const actor = named ? undefined : senderOf(subject, context, notes);
    if (actor !== undefined && actor !== null) takeFacts({ actor }, draft, redactor, notes);
    const json = encodeData(details, notes, omit);

    const micros = clock.now();
    const id = uuidv7(micros);
    const seq = nextSeq(position);
    if (clock.skew > 0) notes.flag(`the clock was set back: occurred_at is ${clock.skew} ms ahead of it`);
    if (clock.skew < 0) notes.flag(`the clock is past 2254: occurred_at is ${-clock.skew} ms behind it`);

    draft.id = id;
    draft.occurredAt = formatMicros(micros);
    draft.sourceId = position.sourceId;
    draft.epoch = position.epoch;
    draft.seq = seq;
    draft.type = type.name;
    draft.category = definition.category;
    draft.logger = logger;
    draft.service = service;
    draft.environment = environment;
    draft.host = host;
    draft.notes = notes.notes();
    const impersonal = draft as Optional<ImpersonalPart>;
    const constants = this.#constantsOf(type, impersonal);
    return { id, seq, text: `${encodeImpersonal(impersonal, constants)}\n${encodePersonal(draft, json)}` };
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

/** What {@link emptyDraft} copies. `data` is encoded apart. */
const EMPTY_DRAFT: Draft = {
  ...Object.fromEntries(COLUMN_LIST.map(({ member }) => [member, undefined])),
  v: EVENT_VERSION,
};

/** All properties at once: an object that grows one by one is several times slower, and this is the hot path. */
function emptyDraft(): Draft {
  return { ...EMPTY_DRAFT };
}

/** What a call says about its event. */
type Said = { readonly [name: string]: unknown };

/** Takes a fact only if it is what it should be, and says what is wrong with it when it is not. May throw. */
type Take = (value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker) => string | undefined;

/** The facts that have columns of their own. */
const TAKES: readonly (readonly [name: keyof EventFacts | "userid", take: Take])[] = [
  ["outcome", takeOutcome],
  ["statusCode", takeStatusCode],
  ["allowedMethods", takeAllowedMethods],
  ["route", takeRoute],
  ["count", takeCount],
  ["startedAt", (value, into) => takeMoment(value, "startedAt", into)],
  ["endedAt", (value, into) => takeMoment(value, "endedAt", into)],
  ["actor", (value, into, redactor, notes) => party(value, "actor", into, redactor, notes)],
  [
    "userid",
    // After the actor, which it is when no other is named.
    (value, into, redactor, notes) =>
      into.actorId === undefined ? party(value, "actor", into, redactor, notes) : undefined,
  ],
  ["target", (value, into, redactor, notes) => party(value, "target", into, redactor, notes)],
];

/** `data` is kept without them. */
const FACTS: ReadonlySet<string> = new Set(TAKES.map(([name]) => name));

/**
 * Takes the facts that a call says. What is no fact is flagged and never believed.
 *
 * @returns the names of those that were not taken, which stay in `data`
 */
function takeFacts(said: Said, into: Draft, redactor: Redactor, notes: NoteTaker): readonly string[] | undefined {
  let refused: string[] | undefined;
  for (const [name, take] of TAKES) {
    let problem: string | undefined;
    try {
      const value = said[name];
      // `null` is how many say that there is none: a header that was not set, a column without a value.
      if (value === undefined || value === null) continue;
      // Nothing is wrong with it, but only in the data is it redacted.
      if (redactor.hasDataPaths && redactor.secretPath(["data", name])) problem = "";
      else problem = take(value, into, redactor, notes);
    } catch {
      // A getter or a method of the value's own threw: the others are taken all the same.
      problem = "could not be read";
    }
    if (problem === undefined) continue;
    if (problem !== "") notes.flag(`${name} ${problem}`);
    refused = [...(refused ?? []), name];
  }
  return refused;
}

function takeOutcome(value: unknown, into: Draft): string | undefined {
  if (!isOutcome(value)) return "is not success, failure or unknown";
  into.outcome = value;
  return undefined;
}

function takeStatusCode(value: unknown, into: Draft): string | undefined {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 100 || value > 999) {
    return "is no number from 100 to 999";
  }
  into.statusCode = value;
  return undefined;
}

function takeAllowedMethods(value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker): undefined {
  const text = Array.isArray(value) ? value.map(String).join(", ") : String(value);
  into.allowedMethods = clean(text, "allowedMethods", redactor, notes, true);
}

function takeRoute(value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker): string | undefined {
  if (typeof value !== "string") return "is no string";
  into.route = clean(value, "route", redactor, notes, true);
  return undefined;
}

function takeCount(value: unknown, into: Draft): string | undefined {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 0x7fffffff) {
    return "is no whole number from 1 to 2147483647";
  }
  into.count = value;
  return undefined;
}

/** Four-digit years only: PostgreSQL and RFC 3339 agree on those. */
function takeMoment(value: unknown, name: "startedAt" | "endedAt", into: Draft): string | undefined {
  const ms = isDate(value) ? value.getTime() : Number.NaN;
  if (!(ms >= 0 && ms < 253_402_300_800_000)) return "is no date between 1970 and 9999";
  // Not by way of microseconds, which are not exact after 2255.
  into[name] = `${new Date(ms).toISOString().slice(0, -1)}000Z`;
  return undefined;
}

function party(
  value: unknown,
  role: "actor" | "target",
  into: Draft,
  redactor: Redactor,
  notes: NoteTaker,
): string | undefined {
  // All is read before anything is taken, as reading may throw.
  const object = typeof value === "object" && value !== null;
  const { id, type } = object ? (value as Said) : { id: value, type: undefined };
  const others = object ? Object.keys(value).filter((name) => name !== "id" && name !== "type") : [];
  if (typeof id !== "string" && typeof id !== "number" && typeof id !== "bigint") return "is no id";
  into[`${role}Id`] = clean(String(id), `${role}Id`, redactor, notes);
  if (typeof type === "string") into[`${role}Type`] = clean(type, `${role}Type`, redactor, notes);
  else if (type !== undefined) notes.flag(`${role}.type is no string`);
  if (others.length > 0) notes.flag(`of ${role} only id and type are kept, not ${others.slice(0, 10).join(", ")}`);
  return undefined;
}

/** What the data say about an event's level and outcome, when its type lets them. */
function refinement(definition: EventDefinition, data: object): ReturnType<NonNullable<EventDefinition["refine"]>> {
  try {
    return definition.refine?.(data);
  } catch {
    // A getter threw: the type's own level and outcome stand.
    return undefined;
  }
}

function isOutcome(value: unknown): value is Outcome {
  return (OUTCOMES as readonly unknown[]).includes(value);
}
