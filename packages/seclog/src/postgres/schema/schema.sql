-- Made from the live catalogue by a test: `npx vitest run packages/seclog/src/postgres/schema/schema.test.ts --update`.

-- Types

security_event_level: debug, info, warning, error, critical (owner seclog_owner)
security_event_outcome: success, failure, unknown (owner seclog_owner)

-- Tables

seclog_console_code (owner seclog_owner)
  hash bytea NOT NULL
  expires_at timestamp with time zone NOT NULL
seclog_console_session (owner seclog_owner)
  hash bytea NOT NULL
  name text COLLATE "C" NOT NULL
  started_at timestamp with time zone NOT NULL DEFAULT now()
  used_at timestamp with time zone NOT NULL DEFAULT now()
seclog_console_user (owner seclog_owner)
  name text COLLATE "C" NOT NULL
  role text NOT NULL
  verifier text NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT now()
seclog_console_view (owner seclog_owner)
  id uuid NOT NULL DEFAULT gen_random_uuid()
  name text NOT NULL
  query text NOT NULL
  since text
  columns text
  owner text COLLATE "C" NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT now()
seclog_migration (owner seclog_owner)
  id integer NOT NULL
  name text NOT NULL
  breaking boolean NOT NULL
  checksum text NOT NULL
  applied_at timestamp with time zone NOT NULL DEFAULT now()
security_event_checkpoint (owner seclog_owner)
  size bigint NOT NULL
  origin text NOT NULL
  root bytea NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
security_event_hold (owner seclog_owner)
  id bigint NOT NULL
  reason text NOT NULL
  retention text
  since timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone
  until timestamp with time zone NOT NULL DEFAULT 'infinity'::timestamp with time zone
  placed_at timestamp with time zone NOT NULL DEFAULT now()
  released_at timestamp with time zone
security_event_key (owner seclog_owner)
  name text NOT NULL
  key_id bigint NOT NULL
  vkey text NOT NULL
  first_size bigint NOT NULL
  last_size bigint
security_event_log (owner seclog_owner) PARTITION BY LIST (retention)
  id uuid NOT NULL
  occurred_at timestamp with time zone NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
  event_type text COLLATE "C" NOT NULL
  level security_event_level NOT NULL
  category text NOT NULL
  outcome security_event_outcome NOT NULL
  method text
  method_original text
  path text
  route text
  status_code smallint
  allowed_methods text
  ip_address inet
  ip_source text
  ip_chain text
  user_agent text
  request_host text
  request_id text
  trace_id text
  span_id text
  actor_id text COLLATE "C"
  actor_type text
  target_id text
  target_type text
  data json
  notes json
  count bigint
  started_at timestamp with time zone
  ended_at timestamp with time zone
  logger text NOT NULL
  service text
  environment text
  host text
  source_id uuid NOT NULL
  epoch integer NOT NULL
  seq bigint NOT NULL
  v smallint NOT NULL
  salt bytea
  commitment bytea NOT NULL
  retention text NOT NULL DEFAULT 'standard'::text
security_event_log_long (owner seclog_owner) FOR VALUES IN ('long') PARTITION BY RANGE (occurred_at)
security_event_log_long_default (owner seclog_owner) DEFAULT
security_event_log_other (owner seclog_owner) DEFAULT
security_event_log_own (owner seclog_owner) FOR VALUES IN ('own')
security_event_log_short (owner seclog_owner) FOR VALUES IN ('short') PARTITION BY RANGE (occurred_at)
security_event_log_short_default (owner seclog_owner) DEFAULT
security_event_log_standard (owner seclog_owner) FOR VALUES IN ('standard') PARTITION BY RANGE (occurred_at)
security_event_log_standard_default (owner seclog_owner) DEFAULT
security_event_quarantine (owner seclog_owner)
  source_id uuid NOT NULL
  seq bigint NOT NULL
  reason text NOT NULL
  record bytea NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
  salt bytea
  commitment bytea NOT NULL
security_event_removed (owner seclog_owner)
  own_seq bigint NOT NULL
  kind text NOT NULL
  source_id uuid NOT NULL
  seqs int8multirange NOT NULL
security_event_retention (owner seclog_owner)
  category text NOT NULL
  retention text NOT NULL
security_event_rolled (owner seclog_owner)
  source_id uuid NOT NULL
  last_seq bigint NOT NULL
security_event_rollup (owner seclog_owner)
  hour timestamp with time zone NOT NULL
  retention text NOT NULL
  event_type text COLLATE "C" NOT NULL
  level security_event_level NOT NULL
  category text NOT NULL
  outcome security_event_outcome NOT NULL
  service text
  events bigint NOT NULL
  occurrences numeric NOT NULL
security_event_seal (owner seclog_owner)
  first_leaf bigint NOT NULL
  source_id uuid NOT NULL
  first_seq bigint NOT NULL
  last_seq bigint NOT NULL
security_event_sealer (owner seclog_owner)
  one boolean NOT NULL DEFAULT true
  holder uuid
  until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone
security_event_signature (owner seclog_owner)
  size bigint NOT NULL
  name text NOT NULL
  key_id bigint NOT NULL
  line text NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
security_event_source (owner seclog_owner)
  id uuid NOT NULL
  epoch integer NOT NULL
  last_seq bigint NOT NULL DEFAULT 0
  key_hash bytea NOT NULL
  opened_at timestamp with time zone NOT NULL DEFAULT now()
  updated_at timestamp with time zone NOT NULL DEFAULT now()
  login name COLLATE "C"
  sender text
security_event_tile (owner seclog_owner)
  level smallint NOT NULL
  tile bigint NOT NULL
  hashes bytea NOT NULL
security_event_tree (owner seclog_owner)
  one boolean NOT NULL DEFAULT true
  size bigint NOT NULL DEFAULT 0
  root bytea NOT NULL DEFAULT sha256('\x'::bytea)
  own_source uuid NOT NULL DEFAULT seclog_uuid7(now())

-- Constraints

seclog_console_code_pkey on seclog_console_code: PRIMARY KEY (hash)
seclog_console_session_pkey on seclog_console_session: PRIMARY KEY (hash)
seclog_console_user_pkey on seclog_console_user: PRIMARY KEY (name)
seclog_console_user_role_check on seclog_console_user: CHECK ((role = ANY (ARRAY['analyst'::text, 'auditor'::text, 'admin'::text])))
seclog_console_view_pkey on seclog_console_view: PRIMARY KEY (id)
seclog_migration_pkey on seclog_migration: PRIMARY KEY (id)
security_event_checkpoint_pkey on security_event_checkpoint: PRIMARY KEY (size)
security_event_hold_check on security_event_hold: CHECK ((since < until))
security_event_hold_pkey on security_event_hold: PRIMARY KEY (id)
security_event_hold_reason_check on security_event_hold: CHECK ((btrim(reason) <> ''::text))
security_event_hold_retention_check on security_event_hold: CHECK ((retention = ANY (ARRAY['short'::text, 'standard'::text, 'long'::text])))
security_event_key_pkey on security_event_key: PRIMARY KEY (name, key_id)
security_event_log_raw_size on security_event_log: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_long: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_long: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_long: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_long_default: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_long_default: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_long_default: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_other: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_other: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_other: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_own: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_own: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_own: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_short: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_short: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_short: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_short_default: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_short_default: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_short_default: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_standard: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_standard: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_standard: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_log_raw_size on security_event_log_standard_default: CHECK (((octet_length(path) <= 65536) AND (octet_length(user_agent) <= 65536) AND (octet_length(ip_chain) <= 65536) AND (octet_length(method_original) <= 65536) AND (octet_length(request_host) <= 65536) AND (octet_length(request_id) <= 65536) AND (octet_length(trace_id) <= 65536) AND (octet_length(span_id) <= 65536) AND (octet_length(ip_source) <= 65536) AND (octet_length(actor_id) <= 65536) AND (octet_length(actor_type) <= 65536) AND (octet_length(target_id) <= 65536) AND (octet_length(target_type) <= 65536) AND (octet_length((data)::text) <= 4194304) AND (octet_length((notes)::text) <= 1048576) AND (octet_length(salt) <= 100) AND (octet_length(commitment) <= 100))) NOT VALID
security_event_log_size on security_event_log_standard_default: CHECK (((octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000) AND (octet_length(retention) <= 100) AND (pg_column_size(data) <= 4194304) AND (pg_column_size(notes) <= 1048576) AND (pg_column_size(path) <= 65536) AND (pg_column_size(user_agent) <= 65536) AND (pg_column_size(ip_chain) <= 65536) AND (pg_column_size(method_original) <= 65536) AND (pg_column_size(request_host) <= 65536) AND (pg_column_size(request_id) <= 65536) AND (pg_column_size(trace_id) <= 65536) AND (pg_column_size(span_id) <= 65536) AND (pg_column_size(ip_source) <= 65536) AND (pg_column_size(actor_id) <= 65536) AND (pg_column_size(actor_type) <= 65536) AND (pg_column_size(target_id) <= 65536) AND (pg_column_size(target_type) <= 65536) AND (pg_column_size(salt) <= 100) AND (pg_column_size(commitment) <= 100)))
security_event_log_values on security_event_log_standard_default: CHECK (((occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (seq >= 1) AND (epoch >= 1) AND (v >= 1) AND (retention = ANY (ARRAY['standard'::text, 'short'::text, 'long'::text, 'own'::text])) AND ((count IS NULL) OR ((count >= 1) AND (count <= '9007199254740991'::bigint))) AND ((started_at IS NULL) OR ((started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (started_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((ended_at IS NULL) OR ((ended_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (ended_at < '10000-01-01 00:00:00+00'::timestamp with time zone))) AND ((data IS NULL) OR (json_typeof(data) = 'object'::text)) AND ((notes IS NULL) OR (json_typeof(notes) = 'object'::text)))) NOT VALID
security_event_quarantine_pkey on security_event_quarantine: PRIMARY KEY (source_id, seq)
security_event_removed_kind_check on security_event_removed: CHECK ((kind = ANY (ARRAY['erased'::text, 'pruned'::text])))
security_event_removed_pkey on security_event_removed: PRIMARY KEY (own_seq, source_id)
security_event_retention_pkey on security_event_retention: PRIMARY KEY (category)
security_event_retention_retention_check on security_event_retention: CHECK ((retention = ANY (ARRAY['short'::text, 'standard'::text, 'long'::text])))
security_event_rolled_pkey on security_event_rolled: PRIMARY KEY (source_id)
security_event_seal_check on security_event_seal: CHECK ((last_seq >= first_seq))
security_event_seal_pkey on security_event_seal: PRIMARY KEY (first_leaf)
security_event_sealer_one_check on security_event_sealer: CHECK (one)
security_event_sealer_pkey on security_event_sealer: PRIMARY KEY (one)
security_event_signature_pkey on security_event_signature: PRIMARY KEY (size, name, key_id)
security_event_source_pkey on security_event_source: PRIMARY KEY (id)
security_event_tile_pkey on security_event_tile: PRIMARY KEY (level, tile)
security_event_tree_one_check on security_event_tree: CHECK (one)
security_event_tree_pkey on security_event_tree: PRIMARY KEY (one)

-- Indexes

CREATE UNIQUE INDEX seclog_console_code_pkey ON public.seclog_console_code USING btree (hash)
CREATE INDEX seclog_console_session_name ON public.seclog_console_session USING btree (name)
CREATE UNIQUE INDEX seclog_console_session_pkey ON public.seclog_console_session USING btree (hash)
CREATE UNIQUE INDEX seclog_console_user_pkey ON public.seclog_console_user USING btree (name)
CREATE UNIQUE INDEX seclog_console_view_pkey ON public.seclog_console_view USING btree (id)
CREATE UNIQUE INDEX seclog_migration_pkey ON public.seclog_migration USING btree (id)
CREATE UNIQUE INDEX security_event_checkpoint_pkey ON public.security_event_checkpoint USING btree (size)
CREATE UNIQUE INDEX security_event_hold_pkey ON public.security_event_hold USING btree (id)
CREATE UNIQUE INDEX security_event_key_pkey ON public.security_event_key USING btree (name, key_id)
CREATE INDEX security_event_log_actor ON ONLY public.security_event_log USING btree (actor_id, occurred_at) WHERE (actor_id IS NOT NULL)
CREATE INDEX security_event_log_address ON ONLY public.security_event_log USING btree (ip_address, occurred_at) WHERE (ip_address IS NOT NULL)
CREATE INDEX security_event_log_created ON ONLY public.security_event_log USING brin (created_at) WITH (pages_per_range='32', autosummarize='on')
CREATE UNIQUE INDEX security_event_log_source ON ONLY public.security_event_log USING btree (source_id, seq, occurred_at, retention)
CREATE INDEX security_event_log_time ON ONLY public.security_event_log USING btree (occurred_at)
CREATE INDEX security_event_log_type ON ONLY public.security_event_log USING btree (event_type, occurred_at)
CREATE UNIQUE INDEX security_event_quarantine_pkey ON public.security_event_quarantine USING btree (source_id, seq)
CREATE UNIQUE INDEX security_event_removed_pkey ON public.security_event_removed USING btree (own_seq, source_id)
CREATE UNIQUE INDEX security_event_retention_pkey ON public.security_event_retention USING btree (category)
CREATE UNIQUE INDEX security_event_rolled_pkey ON public.security_event_rolled USING btree (source_id)
CREATE UNIQUE INDEX security_event_rollup_key ON public.security_event_rollup USING btree (hour, retention, event_type, level, category, outcome, COALESCE(service, ''::text))
CREATE UNIQUE INDEX security_event_seal_pkey ON public.security_event_seal USING btree (first_leaf)
CREATE UNIQUE INDEX security_event_seal_source ON public.security_event_seal USING btree (source_id, first_seq)
CREATE UNIQUE INDEX security_event_sealer_pkey ON public.security_event_sealer USING btree (one)
CREATE UNIQUE INDEX security_event_signature_pkey ON public.security_event_signature USING btree (size, name, key_id)
CREATE INDEX security_event_source_empty ON public.security_event_source USING btree (login, updated_at) WHERE (last_seq = 0)
CREATE INDEX security_event_source_login ON public.security_event_source USING btree (COALESCE((login)::text, ''::text), updated_at, id)
CREATE UNIQUE INDEX security_event_source_pkey ON public.security_event_source USING btree (id)
CREATE UNIQUE INDEX security_event_tile_pkey ON public.security_event_tile USING btree (level, tile)
CREATE UNIQUE INDEX security_event_tree_pkey ON public.security_event_tree USING btree (one)

-- Triggers

CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_checkpoint FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_hold FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_hold FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_key FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_key FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_long FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_long FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_long_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_long_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_other FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_other FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_own FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_own FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_own_only BEFORE INSERT ON public.security_event_log_own FOR EACH ROW EXECUTE FUNCTION seclog_refuse_foreign()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_short FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_short FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_short_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_short_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_standard FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_standard FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_standard_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_standard_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_quarantine FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_commit BEFORE INSERT ON public.security_event_quarantine FOR EACH ROW EXECUTE FUNCTION seclog_commit_quarantine()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_quarantine FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_removed FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_removed FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_seal FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_seal FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_signature FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_signature FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_name_login BEFORE INSERT ON public.security_event_source FOR EACH ROW EXECUTE FUNCTION seclog_name_login()
CREATE TRIGGER seclog_require_events AFTER UPDATE OF last_seq ON public.security_event_source FOR EACH ROW WHEN ((new.last_seq > old.last_seq)) EXECUTE FUNCTION seclog_require_events()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_tile FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_tile FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_tree FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_tree FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()

-- Functions

(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_add_partition(class text, month timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET lock_timeout TO '200ms'
AS $function$
DECLARE
  parent text := 'security_event_log_' || class;
  child text := parent || to_char(month, '_YYYY_MM');
  upper timestamptz := month + interval '1 month';
  misplaced bigint;
  added record;
BEGIN
  EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS)', child, parent);
  EXECUTE format('CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.%I
    FOR EACH STATEMENT EXECUTE FUNCTION public.seclog_refuse_change()', child);
  EXECUTE format('SELECT count(*) FROM (SELECT FROM public.%I WHERE occurred_at >= $1 AND occurred_at < $2 LIMIT 300001) AS there',
    parent || '_default') INTO misplaced USING month, upper;
  IF misplaced > 300000 THEN
    RAISE EXCEPTION 'over 300000 events of that month are in %: moving them would lock the log for long', parent || '_default';
  ELSIF misplaced > 0 THEN
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    PERFORM set_config('seclog.maintenance', 'on', true);
    EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING *)
      INSERT INTO public.%I SELECT * FROM moved', parent || '_default', child) USING month, upper;
    PERFORM set_config('seclog.maintenance', 'off', true);
  END IF;
  -- After the rows: some of them may be older than a constraint that holds for new ones only.
  FOR added IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE conrelid = ('public.' || parent)::regclass AND contype = 'c' ORDER BY conname
  LOOP
    EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I %s', child, added.conname, added.definition);
  END LOOP;
  EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
    parent, child, month, upper);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_advance(source uuid, own_epoch integer, key text, first_seq bigint, new_last_seq bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM public.seclog_move(source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), first_seq, new_last_seq);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_commit_quarantine()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  NEW.salt := uuid_send(gen_random_uuid());
  NEW.commitment := sha256(NEW.salt || convert_to(NEW.reason, 'UTF8') || '\x00'::bytea || NEW.record);
  RETURN NEW;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_confirm(source uuid, own_epoch integer, key text, first_seq bigint, ids uuid[], times timestamp with time zone[], digests text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  RETURN public.seclog_find(
    source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), first_seq, ids, times, digests);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_cosign(at_size bigint, signer text, signer_id bigint, signature_line text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM public.security_event_checkpoint WHERE size = at_size AND origin <> signer) THEN
    RAISE EXCEPTION 'there is no checkpoint of % leaves for % to sign', at_size, signer USING ERRCODE = 'SL010';
  END IF;
  INSERT INTO public.security_event_signature (size, name, key_id, line)
    VALUES (at_size, signer, signer_id, signature_line) ON CONFLICT DO NOTHING;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_describe(OUT migrations json, OUT retention json)
 RETURNS record
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT
    (SELECT json_agg(json_build_object('id', id, 'breaking', breaking) ORDER BY id) FROM public.seclog_migration),
    (SELECT json_object_agg(category, r.retention) FROM public.security_event_retention r)
$function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_ensure_partitions(months_ahead integer DEFAULT 3)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ SELECT 0 $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_erase(actor text, target text, address inet, events uuid[], since timestamp with time zone, until timestamp with time zone, reason text, only_count boolean, OUT erased bigint, OUT held bigint, OUT quarantined bigint, OUT first_at timestamp with time zone, OUT last_at timestamp with time zone, OUT types json, OUT recorded_as bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
  own uuid := (SELECT own_source FROM public.security_event_tree);
  -- Not the salt alone: a writer can insert rows that have none.
  conditions text := 'log.source_id <> $6 AND log.retention <> ''own'' AND num_nonnulls(log.salt, log.actor_id, log.actor_type,
    log.target_id, log.target_type, log.data, log.ip_address, log.ip_source, log.ip_chain, log.user_agent,
    log.method_original, log.notes, log.path, log.request_host, log.request_id, log.trace_id, log.span_id) > 0';
  is_held text := 'EXISTS (SELECT FROM public.security_event_hold AS hold WHERE hold.released_at IS NULL
    AND (hold.retention IS NULL OR hold.retention = log.retention)
    AND log.occurred_at >= hold.since AND log.occurred_at < hold.until)';
  -- A record in quarantine has no columns: whoever is named is looked for in its bytes, as a string of JSON.
  in_quarantine text := 'aside.salt IS NOT NULL';
  in_record text := ' AND position(convert_to(to_json(%s::text)::text, ''UTF8'')
    IN aside.record || ''\x00'' || convert_to(aside.reason, ''UTF8'')) > 0';
  -- It is not known when it happened, but it was no later than it was stored.
  is_quarantine_held text := 'EXISTS (SELECT FROM public.security_event_hold AS hold
    WHERE hold.released_at IS NULL AND hold.since <= aside.created_at)';
  -- The database's own events are never in a month: a row under their source counts as one that no position covers.
  -- Ranges before range_agg, which keeps all that it is given in memory. Any number that a bigint holds may be there.
  ranges text := 'SELECT source_id, range_agg(range) AS seqs FROM (
      SELECT source_id, int8range(min(seq), nullif(max(seq), 9223372036854775807) + 1) AS range FROM (
        SELECT source_id, seq, seq::numeric - dense_rank() OVER (PARTITION BY source_id ORDER BY seq) AS island FROM found
      ) AS numbered GROUP BY source_id, island) AS ranges GROUP BY source_id';
  held_aside bigint := 0;
BEGIN
  IF num_nonnulls(actor, target, address, events) = 0 THEN
    RAISE EXCEPTION 'whom to erase is not said' USING ERRCODE = 'invalid_parameter_value';
  ELSIF NOT only_count AND btrim(coalesce(reason, '')) = '' THEN
    RAISE EXCEPTION 'why to erase is not said' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF actor IS NOT NULL THEN
    conditions := conditions || ' AND (log.actor_id = $1 OR position(''"userid":'' || to_json($1::text)::text IN log.data::text) > 0'
      || CASE WHEN actor ~ '^[0-9]+$' THEN ' OR log.data::text ~ (''"userid":'' || $1 || ''[,}]''))' ELSE ')' END;
    in_quarantine := in_quarantine || format(in_record, '$1');
  END IF;
  IF target IS NOT NULL THEN
    -- Whose account it was also stands in data: userid, newuserid, onuserid.
    conditions := conditions || ' AND (log.target_id = $2 OR position(''userid":'' || to_json($2::text)::text IN log.data::text) > 0'
      || CASE WHEN target ~ '^[0-9]+$' THEN ' OR log.data::text ~ (''userid":'' || $2 || ''[,}]''))' ELSE ')' END;
    in_quarantine := in_quarantine || format(in_record, '$2');
  END IF;
  IF address IS NOT NULL THEN
    conditions := conditions || ' AND log.ip_address <<= $3';
    in_quarantine := in_quarantine || format(in_record, 'host($3)');
  END IF;
  IF events IS NOT NULL THEN
    conditions := conditions || ' AND log.id = ANY ($4)';
    in_quarantine := in_quarantine || format(' AND EXISTS (SELECT FROM unnest($4) AS event (id) WHERE true%s)',
      format(in_record, 'event.id'));
  END IF;
  conditions := conditions || ' AND log.occurred_at >= coalesce($5, ''-infinity'') AND log.occurred_at < coalesce($7, ''infinity'')';
  -- A time, or a network, cannot be looked for in bytes.
  IF since IS NOT NULL OR until IS NOT NULL OR masklen(address) < masklen(set_masklen(address, -1)) THEN
    in_quarantine := 'false';
  END IF;

  IF NOT only_count THEN
    -- From here on a hold that is placed comes after this, and one that was placed before is seen: its event waits for this number.
    recorded_as := public.seclog_next_own_seq();
    PERFORM set_config('seclog.maintenance', 'on', true);
  END IF;
  EXECUTE format('SELECT count(*) FROM public.security_event_log AS log WHERE %s AND %s', conditions, is_held)
    INTO held USING actor, target, address, events, since, own, until;
  EXECUTE format('SELECT count(*) FROM public.security_event_quarantine AS aside WHERE %s AND %s', in_quarantine, is_quarantine_held)
    INTO held_aside USING actor, target, address, events;
  held := held + held_aside;

  EXECUTE format('WITH found AS (%s), removed AS (%s)
    SELECT count(*), min(occurred_at), max(occurred_at), coalesce((SELECT json_object_agg(event_type, events ORDER BY event_type)
      FROM (SELECT event_type, count(*) AS events FROM found GROUP BY event_type) AS type), ''{}'') FROM found',
    CASE WHEN only_count THEN format('SELECT * FROM public.security_event_log AS log WHERE %s AND NOT %s', conditions, is_held)
    ELSE format('UPDATE public.security_event_log AS log SET salt = NULL, actor_id = NULL, actor_type = NULL,
        target_id = NULL, target_type = NULL, data = NULL, ip_address = NULL, ip_source = NULL, ip_chain = NULL,
        user_agent = NULL, method_original = NULL, notes = NULL, path = NULL, request_host = NULL, request_id = NULL,
        trace_id = NULL, span_id = NULL
      WHERE %s AND NOT %s RETURNING log.source_id, log.seq, log.event_type, log.occurred_at', conditions, is_held) END,
    CASE WHEN only_count THEN 'SELECT' ELSE format('INSERT INTO public.security_event_removed (own_seq, kind, source_id, seqs)
      SELECT $8, ''erased'', source_id, seqs FROM (%s) AS removed', ranges) END)
    INTO erased, first_at, last_at, types USING actor, target, address, events, since, own, until, recorded_as;
  EXECUTE format('WITH found AS (%s), removed AS (%s) SELECT count(*) FROM found',
    CASE WHEN only_count THEN format('SELECT * FROM public.security_event_quarantine AS aside WHERE %s AND NOT %s',
      in_quarantine, is_quarantine_held)
    ELSE format('UPDATE public.security_event_quarantine AS aside SET salt = NULL, reason = ''erased'', record = ''''
      WHERE %s AND NOT %s RETURNING aside.source_id, aside.seq', in_quarantine, is_quarantine_held) END,
    CASE WHEN only_count THEN 'SELECT' ELSE format('INSERT INTO public.security_event_removed AS known (own_seq, kind, source_id, seqs)
      SELECT $5, ''erased'', source_id, seqs FROM (%s) AS removed
      ON CONFLICT (own_seq, source_id) DO UPDATE SET seqs = known.seqs + excluded.seqs', ranges) END)
    INTO quarantined USING actor, target, address, events, recorded_as;

  PERFORM set_config('seclog.maintenance', 'off', true);
  IF only_count OR erased + quarantined = 0 THEN
    recorded_as := NULL;
    RETURN;
  END IF;
  PERFORM public.seclog_own_event('log_erased', format('{"reason":%s,"rows":%s,"sha256":"%s"}',
    to_json(reason), erased + quarantined, public.seclog_removal_digest(recorded_as)));
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_find(source uuid, own_epoch integer, hash bytea, first_seq bigint, ids uuid[], times timestamp with time zone[], digests text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  known public.security_event_source;
  wanted record;
BEGIN
  SELECT * INTO known FROM public.security_event_source WHERE id = source;
  IF NOT FOUND OR known.key_hash IS DISTINCT FROM hash THEN
    RAISE EXCEPTION 'source % is unknown or has another key', source USING ERRCODE = 'SL004';
  ELSIF known.epoch <> own_epoch THEN
    RAISE EXCEPTION 'source % has moved on to epoch %, this is %', source, known.epoch, own_epoch
      USING ERRCODE = 'SL001';
  END IF;
  -- By all of the unique index's columns: whoever may write can insert any number of rows of one number.
  FOR wanted IN
    SELECT first_seq + given.place - 1 AS seq, given.id, given.digest
      FROM unnest(ids, times, digests) WITH ORDINALITY AS given (id, at, digest, place)
      LEFT JOIN LATERAL (SELECT true AS is_stored FROM public.security_event_log AS log
        WHERE log.source_id = source AND log.seq = first_seq + given.place - 1 AND log.occurred_at = given.at
          AND log.retention IN ('short', 'standard', 'long') AND log.id = given.id LIMIT 1) AS found ON true
      WHERE found.is_stored IS NULL ORDER BY given.place
  LOOP
    -- Each with a newer view than the rows above: a month that was dropped meanwhile is on record by now.
    CONTINUE WHEN EXISTS (SELECT FROM public.security_event_quarantine AS aside
      WHERE aside.source_id = source AND aside.seq = wanted.seq AND (aside.salt IS NULL
        OR wanted.id = '00000000-0000-0000-0000-000000000000' OR encode(sha256(aside.record), 'hex') = wanted.digest));
    CONTINUE WHEN EXISTS (SELECT FROM public.security_event_removed AS removed
      WHERE removed.kind = 'pruned' AND removed.source_id = source AND removed.seqs @> wanted.seq);
    CONTINUE WHEN wanted.id = '00000000-0000-0000-0000-000000000000' AND EXISTS (SELECT FROM public.security_event_log AS log
      WHERE log.source_id = source AND log.seq = wanted.seq);
    RETURN wanted.seq - 1;
  END LOOP;
  RETURN first_seq + cardinality(ids) - 1;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_hold(why text, class text, from_time timestamp with time zone, to_time timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
  hold public.security_event_hold;
BEGIN
  INSERT INTO public.security_event_hold (reason, retention, since, until)
    VALUES (why, class, coalesce(from_time, '-infinity'), coalesce(to_time, 'infinity')) RETURNING * INTO hold;
  PERFORM public.seclog_own_event('log_retention', format('{%s"hold":%s,"reason":%s%s%s}',
    '"class":' || to_json(class) || ',', hold.id, to_json(why),
    to_char(from_time, '",\"since\":\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), to_char(to_time, '",\"until\":\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""')));
  RETURN hold.id;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_keep(for_category text, class text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  INSERT INTO public.security_event_retention (category, retention) VALUES (for_category, class)
    ON CONFLICT (category) DO UPDATE SET retention = excluded.retention;
  PERFORM public.seclog_own_event('log_retention',
    format('{"category":%s,"class":%s}', to_json(for_category), to_json(class)));
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_make_partitions(months_ahead integer DEFAULT 3)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
  ahead integer := least(greatest(coalesce(months_ahead, 3), 1), 24);
  class text;
  month timestamptz;
  created integer := 0;
  locked boolean := false;
BEGIN
  FOREACH class IN ARRAY ARRAY['short', 'standard', 'long'] LOOP
    FOR step IN -1 .. ahead LOOP
      month := date_trunc('month', now()) + make_interval(months => step);
      CONTINUE WHEN to_regclass('public.security_event_log_' || class || to_char(month, '_YYYY_MM')) IS NOT NULL;
      BEGIN
        IF NOT locked THEN
          -- Somebody else is at it: leave it to them. Not an advisory lock, which any role can take and keep.
          LOCK TABLE public.security_event_retention IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
          locked := true;
          CONTINUE WHEN to_regclass('public.security_event_log_' || class || to_char(month, '_YYYY_MM')) IS NOT NULL;
        END IF;
        PERFORM public.seclog_add_partition(class, month);
        created := created + 1;
      EXCEPTION WHEN lock_not_available THEN
        RAISE WARNING 'no partition for % of % yet: %', to_char(month, 'YYYY-MM'), class, SQLERRM;
        RETURN created;
      WHEN OTHERS THEN
        RAISE WARNING 'no partition for % of % yet: %', to_char(month, 'YYYY-MM'), class, SQLERRM;
      END;
    END LOOP;
  END LOOP;
  RETURN created;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_move(source uuid, own_epoch integer, hash bytea, first_seq bigint, new_last_seq bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  known public.security_event_source;
BEGIN
  IF new_last_seq - first_seq >= 100000 THEN
    RAISE EXCEPTION 'source % would pass % numbers at once, more than any batch has', source, new_last_seq - first_seq + 1
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Nobody has the key of the database's own source, but readers can read its hash.
  IF first_seq >= 1 AND new_last_seq >= first_seq
    AND NOT EXISTS (SELECT FROM public.security_event_tree WHERE own_source = source)
  THEN
    UPDATE public.security_event_source SET last_seq = new_last_seq, updated_at = clock_timestamp()
      WHERE id = source AND epoch = coalesce(own_epoch, epoch) AND key_hash = hash AND last_seq = first_seq - 1;
    IF FOUND THEN RETURN; END IF;
  END IF;
  SELECT * INTO known FROM public.security_event_source WHERE id = source;
  IF NOT FOUND OR known.key_hash IS DISTINCT FROM hash
    OR EXISTS (SELECT FROM public.security_event_tree WHERE own_source = source)
  THEN
    RAISE EXCEPTION 'source % is unknown or has another key', source USING ERRCODE = 'SL004';
  ELSIF known.epoch <> own_epoch THEN
    RAISE EXCEPTION 'source % has moved on to epoch %, this is %', source, known.epoch, own_epoch
      USING ERRCODE = 'SL001';
  ELSIF known.last_seq >= first_seq THEN
    RAISE EXCEPTION 'source % has % already, events % to % were given', source, known.last_seq, first_seq, new_last_seq
      USING ERRCODE = 'SL002';
  END IF;
  RAISE EXCEPTION 'source % ends at %, events % to % were given', source, known.last_seq, first_seq, new_last_seq
    USING ERRCODE = 'SL003';
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_name_login()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  NEW.login := session_user;
  IF (SELECT count(*) FROM (SELECT FROM public.security_event_source AS source
      WHERE source.login = NEW.login AND source.last_seq = 0 AND source.updated_at > clock_timestamp() - interval '1 hour'
      LIMIT 10000) AS empty) = 10000
    AND NOT EXISTS (SELECT FROM public.security_event_source AS source WHERE source.id = NEW.id)
  THEN
    RAISE EXCEPTION '% has opened 10000 sources within an hour and stored nothing in them', NEW.login
      USING ERRCODE = 'SL006', HINT = 'Somebody else may be using its password.';
  END IF;
  RETURN NEW;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_next_own_seq()
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT source.last_seq + 1 FROM public.security_event_source AS source
    WHERE source.id = (SELECT own_source FROM public.security_event_tree) FOR UPDATE
$function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_open(source uuid, new_epoch integer, hash bytea, relayed text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  known public.security_event_source;
BEGIN
  INSERT INTO public.security_event_source (id, epoch, key_hash, sender) VALUES (source, new_epoch, hash, relayed)
    ON CONFLICT (id) DO NOTHING;
  SELECT * INTO STRICT known FROM public.security_event_source WHERE id = source FOR UPDATE;
  IF known.key_hash IS DISTINCT FROM hash OR EXISTS (SELECT FROM public.security_event_tree WHERE own_source = source) THEN
    RAISE EXCEPTION 'source % was registered with another key', source USING ERRCODE = 'SL004';
  ELSIF known.sender <> relayed THEN
    RAISE EXCEPTION 'source % was opened by %, and this comes from %', source,
      CASE known.sender WHEN '' THEN 'plain envelopes' ELSE 'the queue key ' || to_json(known.sender) END,
      CASE relayed WHEN '' THEN 'plain envelopes' ELSE 'the queue key ' || to_json(relayed) END USING ERRCODE = 'SL007';
  ELSIF known.epoch > new_epoch AND relayed IS NULL THEN
    RAISE EXCEPTION 'source % has moved on to epoch %, this is %', source, known.epoch, new_epoch
      USING ERRCODE = 'SL001';
  ELSIF known.epoch < new_epoch THEN
    UPDATE public.security_event_source SET epoch = new_epoch, updated_at = clock_timestamp() WHERE id = source;
  END IF;
  RETURN known.last_seq;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_open_source(source uuid, new_epoch integer, key text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  RETURN public.seclog_open(source, new_epoch, sha256(convert_to(key, 'UTF8')), NULL);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_own_event(own_type text, own_data text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
  own public.security_event_source;
  own_salt bytea := uuid_send(gen_random_uuid());
  -- PostgreSQL escapes a string as RFC 8785 asks.
  personal text := format('{"actor_id":%s,"actor_type":"operator","data":%s}', to_json(session_user::text), own_data);
BEGIN
  UPDATE public.security_event_source AS source SET last_seq = source.last_seq + 1,
      updated_at = greatest(clock_timestamp(), source.updated_at + interval '1 microsecond')
    FROM public.security_event_tree AS tree WHERE source.id = tree.own_source
    RETURNING source.* INTO STRICT own;
  INSERT INTO public.security_event_log (id, occurred_at, event_type, level, category, outcome, actor_id, actor_type, data,
      logger, service, source_id, epoch, seq, v, salt, commitment, retention)
    VALUES (public.seclog_uuid7(own.updated_at), own.updated_at, own_type, 'warning', 'log', 'success',
      session_user, 'operator', own_data::json, 'security', 'seclog', own.id, own.epoch, own.last_seq, 1,
      own_salt, sha256(own_salt || convert_to(personal, 'UTF8')), 'own');
  RETURN own.last_seq;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_prune(class text, month timestamp with time zone, reason text, OUT pruned bigint, OUT recorded_as bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET lock_timeout TO '2s'
AS $function$
DECLARE
  parent text := 'security_event_log_' || class;
  part text := parent || to_char(month, '_YYYY_MM');
  upper_end timestamptz := month + interval '1 month';
  hold public.security_event_hold;
  unsealed bigint;
  strays bigint;
BEGIN
  IF btrim(coalesce(reason, '')) = '' THEN
    RAISE EXCEPTION 'why to prune is not said' USING ERRCODE = 'invalid_parameter_value';
  ELSIF class NOT IN ('short', 'standard', 'long') OR month <> date_trunc('month', month)
    OR NOT EXISTS (SELECT FROM pg_inherits
      WHERE inhrelid = to_regclass('public.' || part) AND inhparent = to_regclass('public.' || parent))
  THEN
    RAISE EXCEPTION 'there is no partition of % for %', class, to_char(month, 'YYYY-MM') USING ERRCODE = 'SL022';
  END IF;
  -- While rows of the month are being counted, they must stay.
  PERFORM pg_advisory_xact_lock(91556946923337);
  -- From here on a hold that is placed comes after this, and one that was placed before is seen: its event waits for this number.
  recorded_as := public.seclog_next_own_seq();
  SELECT * INTO hold FROM public.security_event_hold AS holds WHERE holds.released_at IS NULL
    AND (holds.retention IS NULL OR holds.retention = class) AND holds.since < upper_end AND holds.until > month
    ORDER BY id LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is under hold %: %', part, hold.id, hold.reason USING ERRCODE = 'SL021';
  END IF;
  -- Against rows that would still come into it. Who reads goes on reading; only the DROP at the end needs to be alone.
  EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', part);
  -- Numbers that no position covers will never be sealed: whoever may write can insert such rows, and must not be able to
  -- keep a month for ever by one. They go, and the record says how many they were.
  EXECUTE format('SELECT count(*) FROM (SELECT source.id, max(log.seq) AS last_seq FROM public.%I AS log
      JOIN public.security_event_source AS source ON source.id = log.source_id AND log.seq <= source.last_seq
      WHERE source.id <> (SELECT own_source FROM public.security_event_tree)
      GROUP BY source.id) AS stored
    WHERE stored.last_seq > coalesce((SELECT seal.last_seq FROM public.security_event_seal AS seal
      WHERE seal.source_id = stored.id ORDER BY seal.first_seq DESC LIMIT 1), 0)', part) INTO unsealed;
  IF unsealed > 0 THEN
    RAISE EXCEPTION '% has events of % source(s) that are not sealed', part, unsealed USING ERRCODE = 'SL020';
  END IF;
  -- Ranges before range_agg, which keeps all that it is given in memory.
  EXECUTE format('WITH numbered AS (
      SELECT source_id, seq, seq - dense_rank() OVER (PARTITION BY source_id ORDER BY seq) AS island FROM public.%I AS log
        JOIN public.security_event_source AS source ON source.id = log.source_id
        WHERE log.seq BETWEEN 1 AND source.last_seq AND source.id <> (SELECT own_source FROM public.security_event_tree)
    ), ranges AS (
      SELECT source_id, int8range(min(seq), max(seq), ''[]'') AS range, count(*) AS rows FROM numbered GROUP BY source_id, island
    ), removed AS (
      INSERT INTO public.security_event_removed (own_seq, kind, source_id, seqs)
        SELECT $1, ''pruned'', source_id, range_agg(range) FROM ranges GROUP BY source_id
    ) SELECT coalesce(sum(rows), 0), (SELECT count(*) FROM public.%1$I) - coalesce(sum(rows), 0) FROM ranges', part)
    INTO pruned, strays USING recorded_as;
  EXECUTE format('DROP TABLE public.%I', part);
  DELETE FROM public.security_event_rollup AS counted
    WHERE counted.retention = class AND counted.hour >= month AND counted.hour < upper_end;
  PERFORM public.seclog_own_event('log_retention', format(
    '{"before":"%s","partitions":["%s"],"reason":%s,"rows":%s,"sha256":"%s"%s}',
    to_char(upper_end, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), part, to_json(reason), pruned,
    public.seclog_removal_digest(recorded_as), ',"strays":' || nullif(strays, 0)));
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_quarantine(source uuid, own_epoch integer, key text, bad_seq bigint, why text, original bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM public.seclog_set_aside(
    source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), bad_seq, why, original);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF current_setting('seclog.maintenance', true) = 'on' AND current_user = 'seclog_owner' THEN
    IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% refused: security events are never changed or deleted', TG_OP
    USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
      HINT = 'Retention drops whole partitions; erasure of a person has a function of its own.';
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_refuse_foreign()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF current_user = 'seclog_owner' THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'only the log itself records events that retention leaves alone'
    USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_advance(source uuid, hash bytea, first_seq bigint, new_last_seq bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM public.seclog_move(source, NULL, hash, first_seq, new_last_seq);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_confirm(source uuid, hash bytea, first_seq bigint, ids uuid[], times timestamp with time zone[], digests text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  RETURN public.seclog_find(source, NULL, hash, first_seq, ids, times, digests);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_dropped(queue text, dropped bigint, digests bytea[], why text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
AS $function$
BEGIN
  IF num_nulls(queue, dropped, digests, why) > 0 OR dropped NOT BETWEEN 1 AND 9007199254740991
    OR btrim(why) = '' OR cardinality(digests) > 100 OR 32 <> ANY (SELECT coalesce(octet_length(digest), 0) FROM unnest(digests) AS digest)
  THEN
    RAISE EXCEPTION 'dropped messages are recorded with the queue, a count from 1, at most 100 SHA-256 and a reason'
      USING ERRCODE = 'invalid_parameter_value';
  ELSIF (SELECT count(*) FROM (SELECT FROM public.security_event_log AS log
      WHERE log.event_type = 'dead_letters_dropped' AND log.retention = 'own'
        AND log.occurred_at > clock_timestamp() - interval '1 hour' LIMIT 1000) AS recent) = 1000
  THEN
    RAISE EXCEPTION 'dropped messages were recorded 1000 times within an hour'
      USING ERRCODE = 'SL006', HINT = 'Another client may be using the relay''s password.';
  END IF;
  PERFORM public.seclog_own_event('dead_letters_dropped', format('{"dropped":%s,"queue":%s,"reason":%s,"sha256":[%s]}',
    dropped, to_json(regexp_replace(left(queue, 200), '[[:cntrl:]]', ' ', 'g')),
    to_json(regexp_replace(left(why, 1000), '[[:cntrl:]]', ' ', 'g')),
    (SELECT string_agg(format('"%s"', encode(digest, 'hex')), ',' ORDER BY place)
      FROM unnest(digests) WITH ORDINALITY AS given (digest, place))));
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_open(source uuid, new_epoch integer, hash bytea, sender text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF num_nulls(source, new_epoch, hash, sender) > 0 OR new_epoch < 1 OR octet_length(hash) <> 32
    OR octet_length(sender) > 200
  THEN
    RAISE EXCEPTION 'a relay opens a source with an epoch from 1, a hash of 32 bytes and a sender of at most 200'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN public.seclog_open(source, new_epoch, hash, sender);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_pass(source uuid, hash bytea, from_seq bigint, to_seq bigint, why text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF to_seq - from_seq >= 100000 OR btrim(coalesce(why, '')) = '' THEN
    RAISE EXCEPTION 'a relay passes at most 100000 numbers at once, and says why' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    SELECT source, number, left(why, 1000), '' FROM generate_series(from_seq, to_seq) AS number ON CONFLICT DO NOTHING;
  PERFORM public.seclog_move(source, NULL, hash, from_seq, to_seq);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_position(source uuid)
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT coalesce((SELECT last_seq FROM public.security_event_source WHERE id = source), 0)
$function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_relay_quarantine(source uuid, hash bytea, bad_seq bigint, why text, original bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM public.seclog_set_aside(source, NULL, hash, bad_seq, why, original);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_release(hold_id bigint, why text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  was_held boolean;
BEGIN
  IF btrim(coalesce(why, '')) = '' THEN
    RAISE EXCEPTION 'why to release is not said' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM set_config('seclog.maintenance', 'on', true);
  UPDATE public.security_event_hold SET released_at = now() WHERE id = hold_id AND released_at IS NULL;
  was_held := FOUND;
  PERFORM set_config('seclog.maintenance', 'off', true);
  IF was_held THEN
    PERFORM public.seclog_own_event('log_retention', format('{"reason":%s,"released":%s}', to_json(why), hold_id));
  END IF;
  RETURN was_held;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_removal_digest(removal bigint)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT encode(sha256(convert_to(coalesce(string_agg(source_id || ' ' || seqs || E'\n', '' ORDER BY source_id), ''), 'UTF8')), 'hex')
    FROM public.security_event_removed WHERE own_seq = removal
$function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_require_events()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
 SET max_parallel_workers_per_gather TO '0'
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
AS $function$
DECLARE
  wanted bigint := NEW.last_seq - OLD.last_seq;
  most bigint := 2 * wanted + 1000;
  seen bigint;
  stored bigint;
  aside bigint;
BEGIN
  SELECT count(*), count(DISTINCT seq) INTO seen, stored FROM (
    SELECT log.seq FROM public.security_event_log AS log
      WHERE log.source_id = NEW.id AND log.seq > OLD.last_seq AND log.seq <= NEW.last_seq
      ORDER BY log.seq LIMIT most) AS looked_at;
  IF stored = wanted THEN RETURN NULL; END IF;
  IF seen = most THEN
    -- More rows than an application writes: one probe for each number.
    SELECT count(*) INTO stored FROM generate_series(OLD.last_seq + 1, NEW.last_seq) AS number
      CROSS JOIN LATERAL (SELECT FROM public.security_event_log AS log
        WHERE log.source_id = NEW.id AND log.seq = number LIMIT 1) AS one;
    IF stored = wanted THEN RETURN NULL; END IF;
  END IF;
  SELECT count(*) INTO aside FROM public.security_event_quarantine AS lost
    WHERE lost.source_id = NEW.id AND lost.seq > OLD.last_seq AND lost.seq <= NEW.last_seq;
  -- The database's own event follows its number within one function.
  IF aside = wanted OR stored + aside = wanted OR NEW.id = (SELECT own_source FROM public.security_event_tree) THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'source % would pass numbers % to %, and only % of them have an event',
    NEW.id, OLD.last_seq + 1, NEW.last_seq, stored USING ERRCODE = 'SL005';
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_roll(most bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
 SET max_parallel_workers_per_gather TO '0'
AS $function$
DECLARE
  budget bigint := least(greatest(coalesce(most, 1), 1), 100000);
  passed bigint := 0;
  next record;
  upto bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(91556946923337) THEN RETURN 0; END IF;
  FOR next IN
    SELECT source.id, source.last_seq, coalesce(rolled.last_seq, 0) AS counted FROM public.security_event_source AS source
      LEFT JOIN public.security_event_rolled AS rolled ON rolled.source_id = source.id
      WHERE source.last_seq > coalesce(rolled.last_seq, 0) ORDER BY source.id LIMIT 10000
  LOOP
    upto := least(next.last_seq, next.counted + budget - passed);
    INSERT INTO public.security_event_rollup AS counts
        (hour, retention, event_type, level, category, outcome, service, events, occurrences)
      SELECT date_trunc('hour', occurred_at), retention, left(event_type, 100), level, left(category, 100), outcome,
          left(nullif(service, ''), 200), count(*), sum(coalesce(count, 1))
        FROM public.security_event_log
        WHERE source_id = next.id AND seq > next.counted AND seq <= upto
        GROUP BY 1, 2, 3, 4, 5, 6, 7
      ON CONFLICT (hour, retention, event_type, level, category, outcome, (coalesce(service, '')))
        DO UPDATE SET events = counts.events + excluded.events, occurrences = counts.occurrences + excluded.occurrences;
    INSERT INTO public.security_event_rolled AS rolled (source_id, last_seq) VALUES (next.id, upto)
      ON CONFLICT (source_id) DO UPDATE SET last_seq = excluded.last_seq;
    passed := passed + upto - next.counted;
    EXIT WHEN passed >= budget;
  END LOOP;
  RETURN passed;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_rotate_key(at_size bigint, at_root bytea, log_origin text, signer_id bigint, signer_vkey text, signature_line text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM FROM public.security_event_tree WHERE size = at_size AND root = at_root FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the tree no longer has % leaves', at_size USING ERRCODE = 'SL010';
  END IF;
  PERFORM set_config('seclog.maintenance', 'on', true);
  UPDATE public.security_event_key SET last_size = at_size WHERE last_size IS NULL AND name = log_origin;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no key of % seals this log', log_origin USING ERRCODE = 'SL011';
  END IF;
  INSERT INTO public.security_event_key (name, key_id, vkey, first_size)
    VALUES (log_origin, signer_id, signer_vkey, at_size);
  INSERT INTO public.security_event_signature (size, name, key_id, line)
    VALUES (at_size, log_origin, signer_id, signature_line);
  PERFORM set_config('seclog.maintenance', 'off', true);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_seal(old_size bigint, old_root bytea, new_size bigint, new_root bytea, log_origin text, signer_id bigint, signer_vkey text, signature_line text, sources uuid[], firsts bigint[], lasts bigint[], levels smallint[], tiles bigint[], tile_hashes bytea[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  active public.security_event_key;
  known text;
  changed bigint;
BEGIN
  PERFORM set_config('seclog.maintenance', 'on', true);
  UPDATE public.security_event_tree SET size = new_size, root = new_root WHERE size = old_size AND root = old_root;
  IF NOT FOUND OR new_size <= old_size OR length(new_root) <> 32 THEN
    RAISE EXCEPTION 'the tree no longer has % leaves, or would not grow', old_size USING ERRCODE = 'SL010';
  END IF;

  SELECT * INTO active FROM public.security_event_key WHERE last_size IS NULL;
  IF NOT FOUND THEN
    INSERT INTO public.security_event_key (name, key_id, vkey, first_size)
      VALUES (log_origin, signer_id, signer_vkey, new_size);
  ELSIF active.name <> log_origin OR active.key_id <> signer_id THEN
    RAISE EXCEPTION 'this log is sealed by the key % since it had % leaves', active.vkey, active.first_size
      USING ERRCODE = 'SL011';
  END IF;

  IF (SELECT sum(last_seq - first_seq + 1) IS DISTINCT FROM new_size - old_size OR count(DISTINCT source_id) <> count(*)
      FROM unnest(sources, firsts, lasts) AS range (source_id, first_seq, last_seq))
    OR EXISTS (
      SELECT FROM unnest(sources, firsts, lasts) AS range (source_id, first_seq, last_seq)
        LEFT JOIN public.security_event_source AS source ON source.id = range.source_id
        WHERE source.id IS NULL OR range.last_seq > source.last_seq OR range.first_seq <> 1 + coalesce((
          SELECT seal.last_seq FROM public.security_event_seal AS seal WHERE seal.source_id = range.source_id
            ORDER BY seal.first_seq DESC LIMIT 1), 0))
  THEN
    RAISE EXCEPTION 'the ranges given do not follow those that are sealed' USING ERRCODE = 'SL012';
  END IF;
  INSERT INTO public.security_event_seal (first_leaf, source_id, first_seq, last_seq)
    SELECT old_size + sum(last_seq - first_seq + 1) OVER (ORDER BY place) - (last_seq - first_seq + 1),
        source_id, first_seq, last_seq
      FROM unnest(sources, firsts, lasts) WITH ORDINALITY AS range (source_id, first_seq, last_seq, place);

  INSERT INTO public.security_event_tile AS tile (level, tile, hashes)
    SELECT * FROM unnest(levels, tiles, tile_hashes)
    ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes
      WHERE length(excluded.hashes) > length(tile.hashes)
        AND substring(excluded.hashes FROM 1 FOR length(tile.hashes)) = tile.hashes;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed <> cardinality(levels) THEN
    RAISE EXCEPTION 'a tile that is sealed would be changed' USING ERRCODE = 'SL013';
  END IF;

  INSERT INTO public.security_event_checkpoint (size, origin, root) VALUES (new_size, log_origin, new_root);
  INSERT INTO public.security_event_signature (size, name, key_id, line)
    VALUES (new_size, log_origin, signer_id, signature_line);
  PERFORM set_config('seclog.maintenance', 'off', true);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_set_aside(source uuid, own_epoch integer, hash bytea, bad_seq bigint, why text, original bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  cut text := CASE WHEN octet_length(original) > 2097152
    THEN format(' [cut: the first 2097152 of %s bytes]', octet_length(original)) ELSE '' END;
BEGIN
  -- Where it is there already the position has passed it, and seclog_move says so.
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    VALUES (source, bad_seq, left(why, 1000) || cut, substring(original FROM 1 FOR 2097152)) ON CONFLICT DO NOTHING;
  PERFORM public.seclog_move(source, own_epoch, hash, bad_seq, bad_seq);
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_take_turn(who uuid, seconds double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  UPDATE public.security_event_sealer SET holder = who, until = clock_timestamp() + make_interval(secs => least(seconds, 7200))
    WHERE holder = who OR until <= clock_timestamp();
  RETURN FOUND;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_unroll()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock(91556946923337);
  DELETE FROM public.security_event_rollup;
  DELETE FROM public.security_event_rolled;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_uuid7(at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT encode(set_byte(bytes, 6, (get_byte(bytes, 6) & 15) | 112), 'hex')::uuid
    FROM (SELECT overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6) AS bytes) AS made
$function$

-- Privileges

CONNECT on the database to seclog_console
CONNECT on the database to seclog_reader
CONNECT on the database to seclog_relay
CONNECT on the database to seclog_sealer
CONNECT on the database to seclog_writer
DELETE, INSERT, SELECT, UPDATE on seclog_console_code to seclog_console
DELETE, INSERT, SELECT, UPDATE on seclog_console_session to seclog_console
DELETE, INSERT, SELECT, UPDATE on seclog_console_user to seclog_console
DELETE, INSERT, SELECT, UPDATE on seclog_console_view to seclog_console
EXECUTE on seclog_advance(uuid,integer,text,bigint,bigint) to seclog_writer
EXECUTE on seclog_confirm(uuid,integer,text,bigint,uuid[],timestamp with time zone[],text[]) to seclog_writer
EXECUTE on seclog_cosign(bigint,text,bigint,text) to seclog_sealer
EXECUTE on seclog_describe() to seclog_console
EXECUTE on seclog_describe() to seclog_reader
EXECUTE on seclog_describe() to seclog_relay
EXECUTE on seclog_describe() to seclog_sealer
EXECUTE on seclog_describe() to seclog_writer
EXECUTE on seclog_ensure_partitions(integer) to seclog_writer
EXECUTE on seclog_make_partitions(integer) to seclog_sealer
EXECUTE on seclog_open_source(uuid,integer,text) to seclog_writer
EXECUTE on seclog_quarantine(uuid,integer,text,bigint,text,bytea) to seclog_writer
EXECUTE on seclog_relay_advance(uuid,bytea,bigint,bigint) to seclog_relay
EXECUTE on seclog_relay_confirm(uuid,bytea,bigint,uuid[],timestamp with time zone[],text[]) to seclog_relay
EXECUTE on seclog_relay_dropped(text,bigint,bytea[],text) to seclog_relay
EXECUTE on seclog_relay_open(uuid,integer,bytea,text) to seclog_relay
EXECUTE on seclog_relay_pass(uuid,bytea,bigint,bigint,text) to seclog_relay
EXECUTE on seclog_relay_position(uuid) to seclog_relay
EXECUTE on seclog_relay_quarantine(uuid,bytea,bigint,text,bytea) to seclog_relay
EXECUTE on seclog_removal_digest(bigint) to seclog_reader
EXECUTE on seclog_roll(bigint) to seclog_sealer
EXECUTE on seclog_rotate_key(bigint,bytea,text,bigint,text,text) to seclog_sealer
EXECUTE on seclog_seal(bigint,bytea,bigint,bytea,text,bigint,text,text,uuid[],bigint[],bigint[],smallint[],bigint[],bytea[]) to seclog_sealer
EXECUTE on seclog_take_turn(uuid,double precision) to seclog_sealer
INSERT (id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code, allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id, actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service, environment, host, source_id, epoch, seq, v, salt, commitment, retention) on security_event_log to seclog_relay
INSERT (id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code, allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id, actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service, environment, host, source_id, epoch, seq, v, salt, commitment, retention) on security_event_log to seclog_writer
SELECT (id, epoch, last_seq, opened_at, updated_at, login) on security_event_source to seclog_sealer
SELECT (id, occurred_at, created_at, event_type, level, category, outcome, method, route, status_code, allowed_methods, count, started_at, ended_at, logger, service, environment, host, source_id, epoch, seq, v, commitment, retention) on security_event_log to seclog_sealer
SELECT (source_id, seq, created_at, commitment) on security_event_quarantine to seclog_sealer
SELECT on seclog_migration to seclog_reader
SELECT on seclog_migration to seclog_sealer
SELECT on security_event_checkpoint to seclog_reader
SELECT on security_event_checkpoint to seclog_sealer
SELECT on security_event_hold to seclog_reader
SELECT on security_event_key to seclog_reader
SELECT on security_event_key to seclog_sealer
SELECT on security_event_log to seclog_reader
SELECT on security_event_quarantine to seclog_reader
SELECT on security_event_removed to seclog_reader
SELECT on security_event_retention to seclog_reader
SELECT on security_event_rolled to seclog_reader
SELECT on security_event_rollup to seclog_reader
SELECT on security_event_seal to seclog_reader
SELECT on security_event_seal to seclog_sealer
SELECT on security_event_signature to seclog_reader
SELECT on security_event_signature to seclog_sealer
SELECT on security_event_source to seclog_reader
SELECT on security_event_tile to seclog_reader
SELECT on security_event_tile to seclog_sealer
SELECT on security_event_tree to seclog_reader
SELECT on security_event_tree to seclog_sealer
USAGE on schema public to seclog_console
USAGE on schema public to seclog_reader
USAGE on schema public to seclog_relay
USAGE on schema public to seclog_sealer
USAGE on schema public to seclog_writer
