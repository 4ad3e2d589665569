import { canonicalType, definitionOf, UNKNOWN_DEFINITION } from "../event/catalogue.ts";
import { dataIssues, type EventDefinition, type EventDefinitions, isEventTypeName } from "../event/definition.ts";
import { type CoreConstants, coreConstants, encodeCore, encodePersonal } from "../event/encode.ts";
import { errorMessage } from "../event/errors.ts";
import type { CorePart, Optional } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { cutText, NoteTaker } from "../event/text.ts";
import { senderOf } from "./actor.ts";
import { requestInContext, subjectOf } from "./addressed-request.ts";
import { markCause } from "./causes.ts";
import type { ClientIpReader } from "./client-ip.ts";
import { type EventClock, formatMicros } from "./clock.ts";
import { currentContext } from "./context.ts";
import type { DataEncoder } from "./data.ts";
import { emptyDraft } from "./draft.ts";
import { nextSeq, type Position } from "./position.ts";
import type { Redactor } from "./redact.ts";
import { isRequest, requestFacts } from "./request.ts";
import { FACTS, type Said, takeFacts } from "./said-facts.ts";
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

/** Makes a finished event of a call: facts, redaction, numbers, encoding. Nothing in it throws for what it is given. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #types = new Map<string, ResolvedType>();
  /** The constant parts of the last events, by type, as long as nothing else in them changes. */
  readonly #constants = new Map<
    string,
    { readonly sourceId: string; readonly level: Level; readonly parts: CoreConstants }
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
    const core = draft as Optional<CorePart>;
    const constants = this.#constantsOf(type, core);
    return { id, seq, text: `${encodeCore(core, constants)}\n${encodePersonal(draft, json)}` };
  }

  #constantsOf(type: ResolvedType, event: Optional<CorePart>): CoreConstants {
    // Only for types that were defined: strangers may choose others, without end.
    if (type.flag !== undefined) return coreConstants(event);
    const known = this.#constants.get(type.name);
    if (known !== undefined && known.sourceId === event.sourceId && known.level === event.level) return known.parts;
    const parts = coreConstants(event);
    this.#constants.set(type.name, { sourceId: event.sourceId, level: event.level, parts });
    return parts;
  }
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
