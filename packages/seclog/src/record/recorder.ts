import { canonicalType, definitionOf, UNKNOWN_DEFINITION } from "../event/catalogue.ts";
import { dataIssues, type EventDefinition, type EventDefinitions, isEventTypeName } from "../event/definition.ts";
import { type CoreConstants, coreConstants, encodeCore, encodePersonal } from "../event/encode.ts";
import { errorMessage } from "../event/errors.ts";
import type { CorePart, Optional } from "../event/event.ts";
import { isLevel, type Level, levelRank } from "../event/level.ts";
import { cutText, NoteTaker } from "../event/text.ts";
import { senderOf } from "./actor.ts";
import { requestInContext, subjectOf } from "./addressed-request.ts";
import { markCause } from "./causes.ts";
import type { ClientIpReader } from "./client-ip.ts";
import { type EventClock, formatMicros } from "./clock.ts";
import { currentContext } from "./context.ts";
import type { DataEncoder } from "./data.ts";
import { emptyDraft } from "./draft.ts";
import type { LoginParties } from "./failed-logins.ts";
import type { Identity } from "./identity.ts";
import { nextSeq, type Position } from "./position.ts";
import type { Redactor } from "./redact.ts";
import { isRequest, requestFacts, requestIdentity } from "./request.ts";
import { FACTS, FACTS_OF_THE_LOG, type Said, takeFacts } from "./said-facts.ts";
import { uuidv7 } from "./uuid.ts";

/** What all events of a log have in common. */
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

/** An event, ready to be appended to its source. */
export interface RecordedEvent {
  readonly id: string;
  readonly seq: number;
  /** Its canonical encoding. */
  readonly text: string;
}

/** A type under its canonical name, with its definition. */
export interface ResolvedType {
  readonly name: string;
  readonly definition: EventDefinition;
  /** What is wrong with the type; `undefined` if nothing is. */
  readonly flag: string | undefined;
}

/** Passed as the request, it keeps even the current request out of the event. */
export const NO_REQUEST: object = Object.freeze({});

/** Turns a call into a finished event: facts, redaction, numbers, encoding. Never throws, whatever the arguments. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #types = new Map<string, ResolvedType>();
  /** The constant parts of each type's events, valid for one source and level. */
  readonly #constants = new Map<
    string,
    { readonly sourceId: string; readonly level: Level; readonly parts: CoreConstants }
  >();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** The definition of a type. Anything but a string of the right form is coerced and flagged. */
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
    // In the worst case, a client chose this text.
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
    return { name, definition: UNKNOWN_DEFINITION, flag: `type ${shown} is not an event name` };
  }

  /** Whether the level reaches a rank: the one that the call names, else the type's, else what the data determine. */
  reaches({ definition }: ResolvedType, data: unknown, rank: number): boolean {
    const said = data === undefined || data === null ? undefined : saidLevel(data);
    if (said !== undefined) return levelRank(said) >= rank;
    if (levelRank(definition.level) >= rank) return true;
    const refined = refinement(definition, data ?? {})?.level;
    return refined !== undefined && levelRank(refined) >= rank;
  }

  /** What an event of this request would have in common with others. Never throws. */
  identify(request: object): Omit<Identity, "foldable"> {
    const subject = subjectOf(request);
    const actor = senderOf(subject, currentContext(), new NoteTaker());
    return { ...requestIdentity(subject, this.#options.clientIp), actor };
  }

  /** Who tries to log in: the names that the call gives the account, and the client's address. Never throws. */
  loginParties(given: unknown, data: unknown): LoginParties {
    const request = given === NO_REQUEST ? undefined : requestInContext(given, currentContext()?.request);
    const subject = typeof request === "object" && request !== null ? subjectOf(request) : undefined;
    const address = subject && requestIdentity(subject, this.#options.clientIp).address;
    return { names: accountNames(data), address };
  }

  /** Marks the cause on a request whose event is below the level, so that capture does not record a refusal for it. */
  skip(type: ResolvedType, given: unknown): void {
    const request = given ?? currentContext()?.request;
    if (typeof request !== "object" || request === null) return;
    markCause(subjectOf(request).causes, type.name);
  }

  /**
   * The finished event, with the next number of its source. Append it before the next call.
   *
   * Number, time and id are assigned last: until then, application code (getters, `toJSON`, validators) may run and
   * record events of its own.
   */
  record(type: ResolvedType, request: unknown, data: unknown, position: Position): RecordedEvent {
    try {
      return this.#encode(type, request, data, position);
    } catch (thrown) {
      // A hostile value found an unforeseen way to throw. Record the event without it.
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
      // Keep it regardless: as the data if the call has none, else as much as fits into a flag.
      const quoted = details === undefined ? "" : `: ${encodeData(given, new NoteTaker()) ?? "{}"}`;
      notes.flag(`the request argument is not a request${quoted}`);
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
    const facts = definition.category === "log" ? FACTS_OF_THE_LOG : FACTS;
    let omit = facts;
    if (typeof details === "object" && details !== null) {
      const refined = refinement(definition, details);
      draft.outcome = refined?.outcome ?? draft.outcome;
      draft.level = refined?.level ?? draft.level;
      for (const issue of dataIssues(definition, details)) notes.flag(issue);
      const refused = takeFacts(details as Said, draft, redactor, notes, facts);
      if (refused !== undefined) omit = new Set([...facts].filter((name) => !refused.includes(name)));
    }
    // Only if the call names no actor: a name that was refused must not become the context's actor.
    const named = draft.actorId !== undefined || !(omit.has("actor") && omit.has("userid"));
    const actor = named ? undefined : senderOf(subject, context, notes);
    if (actor !== undefined && actor !== null) takeFacts({ actor }, draft, redactor, notes);
    const json = encodeData(details, notes, omit);

    const dated = draft.occurredAt;
    const micros = dated === undefined ? clock.now() : Date.parse(dated) * 1_000;
    const id = uuidv7(micros);
    const seq = nextSeq(position);
    if (dated === undefined) {
      draft.occurredAt = formatMicros(micros);
      if (clock.skew > 0) notes.flag(`the clock was set back: occurred_at is ${clock.skew} ms ahead of it`);
      if (clock.skew < 0) notes.flag(`the clock is past 2254: occurred_at is ${-clock.skew} ms behind it`);
    }

    draft.id = id;
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
    // Only for defined types: clients may choose endlessly many others.
    if (type.flag !== undefined) return coreConstants(event);
    const known = this.#constants.get(type.name);
    if (known !== undefined && known.sourceId === event.sourceId && known.level === event.level) return known.parts;
    const parts = coreConstants(event);
    this.#constants.set(type.name, { sourceId: event.sourceId, level: event.level, parts });
    return parts;
  }
}

/** The account that a login was for: as it was typed, and its id. */
function accountNames(data: unknown): readonly string[] {
  try {
    const { username, userid, actor } = Object(data) as { readonly [name: string]: unknown };
    const id = typeof actor === "object" && actor !== null ? (actor as { readonly id?: unknown }).id : actor;
    return [username, userid, id].flatMap((name) => {
      return typeof name === "string" || typeof name === "number" || typeof name === "bigint" ? [String(name)] : [];
    });
  } catch {
    // A getter threw: the event is recorded all the same.
    return [];
  }
}

/** The level that a call names. */
function saidLevel(data: unknown): Level | undefined {
  try {
    const { level } = Object(data) as { readonly level?: unknown };
    return isLevel(level) ? level : undefined;
  } catch {
    return undefined;
  }
}

/** The level and outcome that the data determine, if the type lets them. */
function refinement(definition: EventDefinition, data: object): ReturnType<NonNullable<EventDefinition["refine"]>> {
  try {
    return definition.refine?.(data);
  } catch {
    // A getter threw: the type's own level and outcome apply.
    return undefined;
  }
}
