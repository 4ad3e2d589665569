-- Made from the live catalogue by a test: `npx vitest run packages/seclog/src/postgres/schema.test.ts --update`.

-- Types

security_event_level: debug, info, warning, error, critical (owner seclog_owner)
security_event_outcome: success, failure, unknown (owner seclog_owner)

-- Tables

seclog_migration (owner seclog_owner)
  id integer NOT NULL
  name text NOT NULL
  breaking boolean NOT NULL
  checksum text NOT NULL
  applied_at timestamp with time zone NOT NULL DEFAULT now()
security_event_log (owner seclog_owner) PARTITION BY LIST (retention)
  id uuid NOT NULL
  occurred_at timestamp with time zone NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT now()
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
security_event_log_short (owner seclog_owner) FOR VALUES IN ('short') PARTITION BY RANGE (occurred_at)
security_event_log_short_default (owner seclog_owner) DEFAULT
security_event_log_standard (owner seclog_owner) FOR VALUES IN ('standard') PARTITION BY RANGE (occurred_at)
security_event_log_standard_default (owner seclog_owner) DEFAULT
security_event_quarantine (owner seclog_owner)
  source_id uuid NOT NULL
  seq bigint NOT NULL
  reason text NOT NULL
  record bytea NOT NULL
  created_at timestamp with time zone NOT NULL DEFAULT now()
security_event_retention (owner seclog_owner)
  category text NOT NULL
  retention text NOT NULL
security_event_source (owner seclog_owner)
  id uuid NOT NULL
  epoch integer NOT NULL
  last_seq bigint NOT NULL DEFAULT 0
  key_hash bytea NOT NULL
  opened_at timestamp with time zone NOT NULL DEFAULT now()
  updated_at timestamp with time zone NOT NULL DEFAULT now()

-- Constraints

seclog_migration_pkey on seclog_migration: PRIMARY KEY (id)
security_event_quarantine_pkey on security_event_quarantine: PRIMARY KEY (source_id, seq)
security_event_retention_pkey on security_event_retention: PRIMARY KEY (category)
security_event_retention_retention_check on security_event_retention: CHECK ((retention = ANY (ARRAY['short'::text, 'standard'::text, 'long'::text])))
security_event_source_pkey on security_event_source: PRIMARY KEY (id)

-- Indexes

CREATE UNIQUE INDEX seclog_migration_pkey ON public.seclog_migration USING btree (id)
CREATE INDEX security_event_log_actor ON ONLY public.security_event_log USING btree (actor_id, occurred_at) WHERE (actor_id IS NOT NULL)
CREATE INDEX security_event_log_address ON ONLY public.security_event_log USING btree (ip_address, occurred_at) WHERE (ip_address IS NOT NULL)
CREATE INDEX security_event_log_created ON ONLY public.security_event_log USING brin (created_at) WITH (pages_per_range='32', autosummarize='on')
CREATE UNIQUE INDEX security_event_log_source ON ONLY public.security_event_log USING btree (source_id, seq, occurred_at, retention)
CREATE INDEX security_event_log_time ON ONLY public.security_event_log USING btree (occurred_at)
CREATE INDEX security_event_log_type ON ONLY public.security_event_log USING btree (event_type, occurred_at)
CREATE UNIQUE INDEX security_event_quarantine_pkey ON public.security_event_quarantine USING btree (source_id, seq)
CREATE UNIQUE INDEX security_event_retention_pkey ON public.security_event_retention USING btree (category)
CREATE UNIQUE INDEX security_event_source_pkey ON public.security_event_source USING btree (id)

-- Triggers

CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_long FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_long FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_long_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_long_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_other FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_other FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_short FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_short FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_short_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_short_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_standard FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_standard FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_log_standard_default FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_log_standard_default FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_append_only BEFORE DELETE OR UPDATE ON public.security_event_quarantine FOR EACH ROW EXECUTE FUNCTION seclog_refuse_change()
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_quarantine FOR EACH STATEMENT EXECUTE FUNCTION seclog_refuse_change()

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
  misplaced boolean;
BEGIN
  EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
  EXECUTE format('CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.%I
    FOR EACH STATEMENT EXECUTE FUNCTION public.seclog_refuse_change()', child);
  EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE occurred_at >= $1 AND occurred_at < $2)',
    parent || '_default') INTO misplaced USING month, upper;
  IF misplaced THEN
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    PERFORM set_config('seclog.maintenance', 'on', true);
    EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING *)
      INSERT INTO public.%I SELECT * FROM moved', parent || '_default', child) USING month, upper;
    PERFORM set_config('seclog.maintenance', 'off', true);
  END IF;
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
DECLARE
  hash bytea := sha256(convert_to(key, 'UTF8'));
  known public.security_event_source;
BEGIN
  IF first_seq >= 1 AND new_last_seq >= first_seq THEN
    UPDATE public.security_event_source SET last_seq = new_last_seq, updated_at = clock_timestamp()
      WHERE id = source AND epoch = own_epoch AND key_hash = hash AND last_seq = first_seq - 1;
    IF FOUND THEN RETURN; END IF;
  END IF;
  SELECT * INTO known FROM public.security_event_source WHERE id = source;
  IF NOT FOUND OR known.key_hash <> hash THEN
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
      IF NOT locked THEN
        -- Somebody else is at it: leave it to them. The number is "SECLOG" in ASCII.
        IF NOT pg_try_advisory_xact_lock(91556946923335) THEN RETURN created; END IF;
        locked := true;
        CONTINUE WHEN to_regclass('public.security_event_log_' || class || to_char(month, '_YYYY_MM')) IS NOT NULL;
      END IF;
      BEGIN
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
CREATE OR REPLACE FUNCTION public.seclog_open_source(source uuid, new_epoch integer, key text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  hash bytea := sha256(convert_to(key, 'UTF8'));
  known public.security_event_source;
BEGIN
  INSERT INTO public.security_event_source (id, epoch, key_hash) VALUES (source, new_epoch, hash)
    ON CONFLICT (id) DO NOTHING;
  SELECT * INTO STRICT known FROM public.security_event_source WHERE id = source FOR UPDATE;
  IF known.key_hash <> hash THEN
    RAISE EXCEPTION 'source % was registered with another key', source USING ERRCODE = 'SL004';
  ELSIF known.epoch > new_epoch THEN
    RAISE EXCEPTION 'source % has moved on to epoch %, this is %', source, known.epoch, new_epoch
      USING ERRCODE = 'SL001';
  ELSIF known.epoch < new_epoch THEN
    UPDATE public.security_event_source SET epoch = new_epoch, updated_at = clock_timestamp() WHERE id = source;
  END IF;
  RETURN known.last_seq;
END $function$
(owner seclog_owner)
CREATE OR REPLACE FUNCTION public.seclog_quarantine(source uuid, own_epoch integer, key text, bad_seq bigint, why text, original bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  PERFORM public.seclog_advance(source, own_epoch, key, bad_seq, bad_seq);
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    VALUES (source, bad_seq, left(why, 1000), original);
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

-- Privileges

CONNECT on the database to seclog_reader
CONNECT on the database to seclog_writer
EXECUTE on seclog_advance(uuid,integer,text,bigint,bigint) to seclog_writer
EXECUTE on seclog_describe() to seclog_reader
EXECUTE on seclog_describe() to seclog_writer
EXECUTE on seclog_ensure_partitions(integer) to seclog_writer
EXECUTE on seclog_open_source(uuid,integer,text) to seclog_writer
EXECUTE on seclog_quarantine(uuid,integer,text,bigint,text,bytea) to seclog_writer
INSERT (id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code, allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id, actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service, environment, host, source_id, epoch, seq, v, salt, commitment, retention) on security_event_log to seclog_writer
SELECT on seclog_migration to seclog_reader
SELECT on security_event_log to seclog_reader
SELECT on security_event_quarantine to seclog_reader
SELECT on security_event_retention to seclog_reader
SELECT on security_event_source to seclog_reader
USAGE on schema public to seclog_reader
USAGE on schema public to seclog_writer
