/**
 * An event as the API and `--json` return it: the columns of `security_event_log` by name, without those that are NULL.
 * Times are UTC with microseconds. A value that Seclog never writes, such as a number beyond 2^53, is text, and `odd`
 * names its column.
 */
export interface EventRecord {
  readonly id: string;
  readonly occurred_at: string;
  readonly created_at: string;
  readonly event_type: string;
  readonly level: string;
  readonly category: string;
  readonly outcome: string;
  readonly logger: string;
  readonly source_id: string;
  readonly seq: number | string;
  readonly epoch: number | string;
  readonly v: number;
  readonly service?: string;
  readonly environment?: string;
  readonly host?: string;
  readonly method?: string;
  readonly method_original?: string;
  readonly route?: string;
  readonly path?: string;
  readonly status_code?: number;
  readonly allowed_methods?: string;
  readonly request_host?: string;
  readonly request_id?: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly user_agent?: string;
  readonly ip_address?: string;
  readonly ip_source?: string;
  readonly ip_chain?: string;
  readonly actor_id?: string;
  readonly actor_type?: string;
  readonly target_id?: string;
  readonly target_type?: string;
  /** The event's own data: an object, or its text if Seclog never writes such JSON. */
  readonly data?: unknown;
  /** What was cut, escaped or redacted. */
  readonly notes?: unknown;
  /** How many occurrences the event represents; one if it is absent. */
  readonly count?: number | string;
  readonly started_at?: string;
  readonly ended_at?: string;
  /** The columns with values that Seclog never writes. */
  readonly odd?: readonly string[];
}
