/** A query that cannot be read. The message names the value at fault, its place and the next step. */
export class QueryError extends Error {
  readonly code = "SECLOG_QUERY";
  /** Where the fault begins in the query, in UTF-16 units from 0. */
  readonly at: number;
  /** How many units it has; 0 at the end of the query. */
  readonly length: number;
  /** The text that probably was meant instead of the fault. */
  readonly suggestion: string | undefined;

  constructor(message: string, at: number, length: number, suggestion?: string) {
    super(`${message} (character ${at + 1})`);
    this.name = "QueryError";
    this.at = at;
    this.length = length;
    this.suggestion = suggestion;
  }
}

/** A text of the query as messages show it: quoted, escaped and cut. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}
