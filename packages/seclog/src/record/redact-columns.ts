/**
 * Which columns of an event a name in `redact.names` stands for. A name that stood for nothing would look like protection and
 * be none, so one that means a column which cannot be redacted is refused.
 */
import type { ImpersonalPart, PersonalPart } from "../event/event.ts";
import { configError } from "../event/options.ts";
import { plainName } from "./secret-names.ts";

/** The columns that can be redacted: texts of an event besides `data`. */
export const REDACTABLE = [
  "actorId",
  "actorType",
  "targetId",
  "targetType",
  "allowedMethods",
  "route",
  "path",
  "methodOriginal",
  "ipAddress",
  "ipChain",
  "requestHost",
  "requestId",
  "traceId",
  "spanId",
  "userAgent",
] as const;

/** What calls, headers and people name the same texts, in the form of {@link plainName}. */
const SYNONYMS: { readonly [column: string]: readonly string[] } = {
  actorId: ["actor", "userid"],
  targetId: ["target"],
  allowedMethods: ["allow"],
  path: ["url", "uri", "urlpath", "pathname", "requestpath", "requesturl", "requesturi", "originalurl"],
  ipAddress: [
    ...["ip", "ipaddr", "ips", "clientip", "clientaddr", "clientaddress", "remoteip", "remoteaddr", "remoteaddress"],
    ...["requestip", "userip", "sourceip", "sourceaddress", "peeraddress", "xrealip", "xforwardedfor", "forwarded"],
  ],
  requestHost: ["hostheader", "httphost", "authority", "xforwardedhost"],
  requestId: ["xrequestid", "reqid"],
  traceId: ["trace", "traceparent"],
  spanId: ["span", "traceparent"],
  userAgent: ["ua", "useragentoriginal", "httpuseragent"],
};

type Column = keyof ImpersonalPart | keyof PersonalPart;

/** The columns that stay as they are, with what else they are called. The type holds the list to the event. */
const FIXED: { readonly [C in Exclude<Column, (typeof REDACTABLE)[number]>]: readonly string[] } = {
  v: [],
  id: ["eventid"],
  occurredAt: [],
  sourceId: [],
  epoch: [],
  seq: [],
  type: ["eventtype"],
  level: ["severity"],
  category: [],
  outcome: [],
  logger: [],
  service: ["servicename"],
  environment: ["env"],
  host: ["hostname"],
  method: ["httpmethod", "requestmethod"],
  statusCode: ["status", "httpstatus"],
  count: [],
  startedAt: [],
  endedAt: [],
  ipSource: [],
  data: [],
  notes: [],
};

/** What to write instead where the word most likely means something else. */
const INSTEAD: { readonly [C in keyof typeof FIXED]?: string } = {
  host: 'the Host header is "requestHost", and the option host of the log may be any text; ',
  service: "the option service of the log may be any text; ",
  environment: "the option environment of the log may be any text; ",
  method: 'a method that is not a standard one is "methodOriginal"; ',
  ipSource: 'the client\'s address is "ipAddress"; ',
  data: "name its members; ",
};

const COLUMNS_OF: ReadonlyMap<string, readonly string[]> = columnsByName();
const FIXED_OF: ReadonlyMap<string, keyof typeof FIXED> = new Map(
  (Object.entries(FIXED) as [keyof typeof FIXED, readonly string[]][]).flatMap(([column, synonyms]) =>
    [plainName(column), ...synonyms].map((name) => [name, column] as const),
  ),
);

function columnsByName(): Map<string, readonly string[]> {
  const columns = new Map<string, readonly string[]>();
  for (const column of REDACTABLE) {
    for (const name of [plainName(column), ...(SYNONYMS[column] ?? [])]) {
      columns.set(name, [...(columns.get(name) ?? []), column]);
    }
  }
  return columns;
}

/**
 * The columns that a name stands for; none for one that only members of data have.
 *
 * @throws SeclogError `SECLOG_CONFIG` for the name of a column that cannot be redacted
 */
export function columnsNamed(name: string): readonly string[] {
  const plain = plainName(name);
  const fixed = FIXED_OF.get(plain);
  if (fixed === undefined) return COLUMNS_OF.get(plain) ?? [];
  const problem =
    `has ${JSON.stringify(name)}, which is the column ${fixed}: it cannot be redacted, because searches and proofs rest on it; ` +
    `${INSTEAD[fixed] ?? ""}for a member of data write paths: [${JSON.stringify(`data.${name}`)}]`;
  throw configError("redact", "names", problem);
}
