/** What is wrong with a query, and the ways out. */
import { parseQuery, QueryError } from "@seclog/api";

export interface QueryFault {
  readonly message: string;
  /** In UTF-16 units from 0. */
  readonly at: number;
  readonly length: number;
  /** The query with what was probably meant. */
  readonly meant: string | undefined;
  /** The query with the faulty term as a free text. */
  readonly asText: string;
}

/** The fault of a query; `undefined` if it can be read. */
export function faultOf(query: string): QueryFault | undefined {
  try {
    parseQuery(query);
    return undefined;
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    const { message, at, length, suggestion } = error;
    const [begin, end] = termAround(query, at, length);
    const quoted = `"${query.slice(begin, end).replaceAll('"', "").replaceAll("\\", "\\\\")}"`;
    return {
      message,
      at,
      length,
      meant:
        suggestion === undefined ? undefined : readable(query.slice(0, at) + suggestion + query.slice(at + length)),
      asText:
        readable(`${query.slice(0, begin)}${quoted}${query.slice(end)}`) ?? `"${query.replace(/[\\"]/g, "\\$&")}"`,
    };
  }
}

/** The query if it can be read now. */
function readable(query: string): string | undefined {
  try {
    parseQuery(query);
    return query;
  } catch {
    return undefined;
  }
}

/** From the space or parenthesis before a place to the one after it. */
function termAround(query: string, at: number, length: number): readonly [number, number] {
  const begin = Math.max(...[" ", "\t", "("].map((sign) => query.lastIndexOf(sign, Math.max(0, at - 1)))) + 1;
  const end = /[\s)]/.exec(query.slice(at + length))?.index;
  return [Math.min(begin, at), end === undefined ? query.length : at + length + end];
}
