import type { JsonObject } from "./json.ts";
import type { Level } from "./level.ts";

/** How the attempt ended (ECS `event.outcome`). A refusal is a `failure`. */
export const OUTCOMES = ["success", "failure", "unknown"] as const;

/** One of {@link OUTCOMES}. */
export type Outcome = (typeof OUTCOMES)[number];

/** The version of the canonical encoding that this program writes. It also reads every earlier one. */
export const EVENT_VERSION = 1;

/**
 * The part of an event that does not identify a person. It stays when a person is erased. The integrity proofs cover it
 * and a commitment to the {@link PersonalPart}.
 */
export interface CorePart {
  /** The version of the encoding, {@link EVENT_VERSION}. */
  readonly v: number;
  /** UUIDv7 (RFC 9562), lower case with hyphens; its first 48 bits are the milliseconds of `occurredAt`. */
  readonly id: string;
  /**
   * When it was recorded, by the application's clock: `2026-11-22T19:43:22.123456Z`. Strictly increasing in a source,
   * except for events that the call dated, up to seven days back.
   */
  readonly occurredAt: string;
  /** The log that recorded it: a UUIDv7, new each time a process opens a log. */
  readonly sourceId: string;
  /** How often the source's spool had changed hands when the event was recorded; 1 for the process that opened it. */
  readonly epoch: number;
  /** 1, 2, 3, … within the source, without gaps. */
  readonly seq: number;
  /** A type of the catalogue or of the application's own. 1 to 100 characters of `[a-z0-9_.:-]`. */
  readonly type: string;
  readonly level: Level;
  /** The catalogue's group of the type. */
  readonly category: string;
  readonly outcome: Outcome;
  /** The name of the log, `"security"` by default. */
  readonly logger: string;
  /** The application, as its configuration names it. */
  readonly service?: string;
  /** `production`, `staging`, …, as the configuration names it. */
  readonly environment?: string;
  /** The machine's host name. */
  readonly host?: string;
  /** The request's method if it is a known one (RFC 9110, PATCH, QUERY), else `_OTHER`. */
  readonly method?: string;
  /** The route's template as the application wrote it: `/users/:id`. */
  readonly route?: string;
  /** The response's status, 100 to 999. */
  readonly statusCode?: number;
  /** What the path does allow, in the form of the `Allow` header: `GET, HEAD`. */
  readonly allowedMethods?: string;
  /** For how many occurrences this event stands; absent means one. */
  readonly count?: number;
  /** The first of `count` occurrences, in the form of `occurredAt`. */
  readonly startedAt?: string;
  /** The last of `count` occurrences, in the form of `occurredAt`. */
  readonly endedAt?: string;
}

/** The part of an event that may name a person, or holds text that a stranger chose. It can be erased. */
export interface PersonalPart {
  /** Who did it: an account's id. */
  readonly actorId?: string;
  /** What kind of actor: `user`, `admin`, `service`, … */
  readonly actorType?: string;
  /** What it was done to. */
  readonly targetId?: string;
  readonly targetType?: string;
  /** The nearest address that is not one of the application's own proxies; canonical text, without a zone. */
  readonly ipAddress?: string;
  /** Where `ipAddress` was read: the socket, a header, or nowhere because the text is not an address. */
  readonly ipSource?: IpSource;
  /** The addresses it was chosen from, client first, peer last, as they stood; at most 1,000 characters. */
  readonly ipChain?: string;
  /** The request's method as sent, if `method` is `_OTHER`. */
  readonly methodOriginal?: string;
  /** The request's path without its query. */
  readonly path?: string;
  /** The request's `Host` (HTTP/2: `:authority`). */
  readonly requestHost?: string;
  /** `x-request-id`, if it has the form of an id. */
  readonly requestId?: string;
  /** From `traceparent` (W3C Trace Context): 32 hexadecimal digits. */
  readonly traceId?: string;
  /** From `traceparent`: 16 hexadecimal digits. */
  readonly spanId?: string;
  readonly userAgent?: string;
  /** The data of the type's vocabulary, and what the caller added. */
  readonly data?: JsonObject;
  /** What Seclog changed in the values, so that no change is silent. Absent if it changed nothing. */
  readonly notes?: EventNotes;
}

export const IP_SOURCES = ["socket", "x-forwarded-for", "forwarded", "header", "invalid"] as const;

/** Where the client's address was read. */
export type IpSource = (typeof IP_SOURCES)[number];

/** How the values of an event were changed before it was stored. Paths are dotted: `data.user.name`, `userAgent`. */
export type EventNotes = {
  /** Values that were escaped JSON-style (`\\`, `\u0000`, `\ud800`) because PostgreSQL or UTF-8 cannot hold them. */
  readonly escaped?: string[];
  /** Values that were cut, with their original length. */
  readonly truncated?: { [path: string]: number };
  /** For values cut to much less: the SHA-256 of the whole in UTF-8, as 64 hexadecimal digits. */
  readonly sha256?: { [path: string]: string };
  /** Values replaced because their name or text marks a secret. */
  readonly redacted?: string[];
  /** Values that JSON cannot hold, with their original kind, such as `{"data.n": "bigint"}`. */
  readonly converted?: { [path: string]: string };
  /** What is wrong with the event, which was recorded regardless, such as `unknown type "Foo"`. */
  readonly flags?: string[];
};

/** A part under construction: members that may be absent may also be `undefined`. */
export type Optional<Part> = {
  readonly [K in keyof Part]: object extends Pick<Part, K> ? Part[K] | undefined : Part[K];
};

/** A security event as recorded: what every handler, query and export sees. */
export interface SecurityEvent extends CorePart, PersonalPart {}
