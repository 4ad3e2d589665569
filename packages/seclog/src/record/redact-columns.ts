/**
 * The columns of an event that a name in `redact.names` stands for. A name without effect would look like protection,
 * so one that means a column which cannot be redacted is refused.
 */
import { COLUMN_LIST, type EventColumn, type EventMember } from "../event/columns.ts";
import { configError } from "../event/options.ts";
import { plainName } from "./secret-names.ts";

/** The columns that can be redacted: an event's texts outside `data`. */
export const REDACTABLE: readonly EventMember[] = COLUMN_LIST.filter(({ redactable }) => redactable).map(
  ({ member }) => member,
);

/** Other names of the same values in calls, headers and speech, in the form of {@link plainName}. */
const SYNONYMS: { readonly [M in EventMember]?: readonly string[] } = {
  id: ["eventid"],
  type: ["eventtype"],
  level: ["severity"],
  service: ["servicename"],
  environment: ["env"],
  host: ["hostname"],
  method: ["httpmethod", "requestmethod"],
  statusCode: ["status", "httpstatus"],
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

/** What to write instead, where the name most likely means something else. */
const INSTEAD: { readonly [M in EventMember]?: string } = {
  host: 'the Host header is "requestHost", and the option host of the log may be any text; ',
  service: "the option service of the log may be any text; ",
  environment: "the option environment of the log may be any text; ",
  method: 'a method that is not a standard one is "methodOriginal"; ',
  ipSource: 'the client\'s address is "ipAddress"; ',
  data: "name its members; ",
};

/** The columns of each name; several for a header that fills several. */
const COLUMNS_OF: ReadonlyMap<string, readonly EventColumn[]> = columnsByName();

/** Whether a plain name stands for the client's address. */
export function isAddressName(plain: string): boolean {
  return COLUMNS_OF.get(plain)?.some(({ member }) => member === "ipAddress" || member === "ipChain") ?? false;
}

function columnsByName(): Map<string, readonly EventColumn[]> {
  const columns = new Map<string, readonly EventColumn[]>();
  for (const column of COLUMN_LIST) {
    for (const name of [plainName(column.member), ...(SYNONYMS[column.member] ?? [])]) {
      columns.set(name, [...(columns.get(name) ?? []), column]);
    }
  }
  return columns;
}

/**
 * The columns that a name stands for; none if only members of data can have it.
 *
 * @throws SeclogError `SECLOG_CONFIG` for the name of a column that cannot be redacted
 */
export function columnsNamed(name: string): readonly string[] {
  const columns = COLUMNS_OF.get(plainName(name)) ?? [];
  const fixed = columns.find(({ redactable }) => !redactable)?.member;
  if (fixed === undefined) return columns.map(({ member }) => member);
  const problem =
    `has ${JSON.stringify(name)}, which is the column ${fixed}: it cannot be redacted, because searches and proofs rest on it; ` +
    `${INSTEAD[fixed] ?? ""}for a member of data write paths: [${JSON.stringify(`data.${name}`)}]`;
  throw configError("redact", "names", problem);
}
