/** The HTTP API of `seclog start`: what each path of `/api/v1/` returns. `/api/v1/openapi.json` describes the same. */
import type { EventRecord } from "./event-record.ts";

/** How far a search or a count has come. It returns in time, with what it has, whatever the query costs. */
export interface Progress {
  /** Every event from where it began (the newest, unless `order=oldest`) to here is considered; `null` in an empty log. */
  readonly reached: string | null;
  /** Whether that is all. If not, ask again: a search with `cursor`, a count with `before` set to `reached`, and add. */
  readonly done: boolean;
}

/** What a user may do beyond searching: `personal` shows what identifies people. */
export type Right = "personal" | "query" | "export" | "views" | "verify" | "users";

/** What a user is. */
export type UserRole = "analyst" | "auditor" | "admin";

/** `GET /api/v1/session`, also when nobody is signed in. */
export interface SessionResult {
  /** `null` if nobody is signed in. */
  readonly user: { readonly name: string; readonly role: UserRole } | null;
  /** Whether the first user is still to be made, by the one-time link. */
  readonly setup: boolean;
  /** `application`: the application that mounts the console signs its users in. */
  readonly sign_in: "password" | "oidc" | "both" | "application" | "token";
  /** The host of the OpenID provider. */
  readonly oidc: string | null;
  /** The log's origin; `null` while nothing is sealed, or nobody is signed in. */
  readonly log: string | null;
  readonly may: readonly Right[];
}

/** `GET /api/v1/events` */
export interface EventsPage extends Progress {
  readonly events: readonly EventRecord[];
  /** For the next page, which repeats and skips no event, whatever arrives meanwhile. `null` at the end. */
  readonly cursor: string | null;
}

/** The number of events, and of the occurrences that they represent. */
export interface Tally {
  readonly events: number;
  readonly occurrences: number;
}

/** `GET /api/v1/count` */
export interface CountResult extends Progress, Tally {}

/** `GET /api/v1/timeline` */
export interface TimelineResult extends Progress {
  readonly from: string | null;
  readonly to: string | null;
  readonly step_seconds: number;
  /** Every bar of the range, oldest first, also empty ones. */
  readonly buckets: readonly TimelineBucket[];
}

export interface TimelineBucket {
  /** It ends where the next one starts. */
  readonly start: string;
  readonly events: number;
  /** By level or category, as asked. */
  readonly by: { readonly [name: string]: number };
}

/** `GET /api/v1/facets` */
export interface FacetsResult extends Progress {
  readonly facets: {
    readonly [field: string]: {
      /** The most frequent first. */
      readonly values: readonly (Tally & { readonly name: string })[];
      /** Whether the counts may be too low, since a part of the log has too many values to count them all. */
      readonly approximate: boolean;
    };
  };
}

/** `GET /api/v1/events/{id}` */
export interface EventDetail {
  readonly event: EventRecord;
  /** The events of the same source just before and after it, in the order of their numbers. */
  readonly before: readonly EventRecord[];
  readonly after: readonly EventRecord[];
  /** Its leaf in the tree; `null` while it is not sealed. */
  readonly leaf: number | null;
}

/** `GET /api/v1/events/{id}/proof` */
export interface EventProof {
  readonly id: string;
  readonly index: number;
  readonly size: number;
  /** Whether the personal part was erased. */
  readonly redacted: boolean;
  /** The text of a C2SP tlog-proof, for a file. */
  readonly proof: string;
}

/** `GET /api/v1/entities/{kind}/{value}` */
export interface EntityDetail extends Progress, Tally {
  readonly kind: string;
  readonly value: string;
  /** A query for its events. */
  readonly query: string;
  /** Among the events that are considered. */
  readonly first_seen: string | null;
  readonly last_seen: string | null;
  readonly facets: FacetsResult["facets"];
}

/** `GET /api/v1/sources` */
export interface SourcesResult {
  readonly total: number;
  readonly quarantined: number;
  /** The most recently active first. */
  readonly sources: readonly SourceRecord[];
}

/** A source: one log in one process. */
export interface SourceRecord {
  readonly id: string;
  /** Whether it is the log's own source, with the events of its setup and of removals. */
  readonly own: boolean;
  readonly service: string | null;
  readonly host: string | null;
  readonly epoch: number | string;
  readonly last_seq: number | string;
  readonly quarantined: number;
  readonly opened_at: string;
  readonly updated_at: string;
  readonly last_heartbeat: string | null;
}

/** `GET /api/v1/integrity` */
export interface IntegrityResult {
  readonly leaves: number;
  readonly sealed_at: string | null;
  /** Stored numbers that are not sealed; text beyond 2^53. */
  readonly unsealed: number | string;
  readonly oldest_unsealed_seconds: number;
  /** The newest one; `null` while nothing is sealed. */
  readonly checkpoint: {
    readonly origin: string;
    readonly size: number;
    readonly root: string;
    readonly note: string;
  } | null;
  readonly keys: readonly {
    readonly name: string;
    readonly vkey: string;
    readonly first_size: number;
    readonly last_size: number | null;
  }[];
  readonly removals: { readonly kind: string; readonly count: number }[];
  readonly holds: number;
}

/** `GET /api/v1/verification`, and of `POST`, which starts one if none is running. */
export interface VerificationState {
  /** `unfinished` if something prevented an answer; the last difference says what. */
  readonly state: "none" | "running" | "passed" | "failed" | "unfinished";
  readonly started_at: string | null;
  readonly finished_at: string | null;
  /** Leaves that have been verified, of all. */
  readonly done: number;
  readonly total: number;
  /** What was compared; empty until the end. */
  readonly checks: readonly VerificationCheck[];
  /** What is not as it was sealed, at most 200 sentences, and how many more there are. */
  readonly differences: readonly string[];
}

export interface VerificationCheck {
  readonly name: string;
  readonly ok: boolean;
  /** A sentence. */
  readonly detail: string;
}

/** `GET /api/v1/views`: queries with a name. */
export interface ViewsResult {
  readonly views: readonly ViewRecord[];
}

export interface ViewRecord {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  /** A time as in queries, and columns as in the console's address; `null` in those that every log has. */
  readonly since: string | null;
  readonly columns: string | null;
  /** Whether every log has it; others have an owner. */
  readonly built_in: boolean;
  readonly owner: string | null;
}

/** `GET /api/v1/users`, of a server that keeps users. */
export interface UsersResult {
  readonly users: readonly { readonly name: string; readonly role: UserRole }[];
}

/** `GET /api/v1/catalogue` */
export interface CatalogueResult {
  readonly types: readonly {
    readonly type: string;
    readonly level: string;
    readonly category: string;
    readonly outcome: string;
    readonly description: string;
  }[];
  readonly fields: readonly { readonly name: string; readonly kind: string; readonly about: string }[];
}

/** What a refused or failed request returns. */
export interface ApiFailure {
  readonly error: {
    readonly code: string;
    readonly message: string;
    /** Where the query is at fault, in UTF-16 units from 0, and what was probably meant. */
    readonly at?: number;
    readonly length?: number;
    readonly suggestion?: string;
    /** Of a refused sign-in: attempts before the name is locked for this address, and how long it is. */
    readonly tries_left?: number;
    readonly wait_seconds?: number;
  };
}
