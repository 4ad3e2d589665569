-- The log itself. The row is the record: together with `data` and `notes`, whose type is json because it keeps
-- the exact text, the columns decode to the bytes that were hashed. Names are those of event/encode.ts.

-- In order, so that `WHERE level >= 'warning'` means what it says.
CREATE TYPE public.security_event_level AS ENUM ('debug', 'info', 'warning', 'error', 'critical');
CREATE TYPE public.security_event_outcome AS ENUM ('success', 'failure', 'unknown');

CREATE TABLE public.security_event_log (
  id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  -- When the database took it: its own clock, and no role may insert another value.
  created_at timestamptz NOT NULL DEFAULT now(),
  event_type text COLLATE "C" NOT NULL,
  level public.security_event_level NOT NULL,
  category text NOT NULL,
  outcome public.security_event_outcome NOT NULL,
  -- The request.
  method text,
  method_original text,
  path text,
  route text,
  status_code smallint,
  allowed_methods text,
  ip_address inet,
  ip_source text,
  ip_chain text,
  user_agent text,
  request_host text,
  request_id text,
  trace_id text,
  span_id text,
  -- Who, and what it was done to.
  actor_id text COLLATE "C",
  actor_type text,
  target_id text,
  target_type text,
  data json,
  notes json,
  -- One row may stand for many occurrences.
  count bigint,
  started_at timestamptz,
  ended_at timestamptz,
  -- Who recorded it. (source_id, seq) names the event: 1, 2, 3, … within a source.
  logger text NOT NULL,
  service text,
  environment text,
  host text,
  source_id uuid NOT NULL,
  epoch integer NOT NULL,
  seq bigint NOT NULL,
  v smallint NOT NULL,
  -- commitment = SHA-256(salt || canonical personal part). Erasing a person takes the salt and the personal
  -- columns; the commitment, to which the integrity proofs refer, stays.
  salt bytea,
  commitment bytea NOT NULL,
  -- How long to keep it: the partition, so that time's end is a DROP TABLE and never a DELETE.
  retention text NOT NULL DEFAULT 'standard'
) PARTITION BY LIST (retention);

CREATE TABLE public.security_event_log_short PARTITION OF public.security_event_log
  FOR VALUES IN ('short') PARTITION BY RANGE (occurred_at);
CREATE TABLE public.security_event_log_standard PARTITION OF public.security_event_log
  FOR VALUES IN ('standard') PARTITION BY RANGE (occurred_at);
CREATE TABLE public.security_event_log_long PARTITION OF public.security_event_log
  FOR VALUES IN ('long') PARTITION BY RANGE (occurred_at);

-- An event must never fail for want of a partition: a clock that is a year off, a setup that ran a year ago.
CREATE TABLE public.security_event_log_other PARTITION OF public.security_event_log DEFAULT;
CREATE TABLE public.security_event_log_short_default PARTITION OF public.security_event_log_short DEFAULT;
CREATE TABLE public.security_event_log_standard_default PARTITION OF public.security_event_log_standard DEFAULT;
CREATE TABLE public.security_event_log_long_default PARTITION OF public.security_event_log_long DEFAULT;

-- Each index costs every event; the two texts are COLLATE "C" because comparing bytes costs less than a
-- locale does, and a prefix can use the index. An id needs none: a UUIDv7 says in which millisecond to look. The first is
-- braces to the belt of security_event_source.last_seq: the same event of a source, sent twice, is refused. It must contain
-- the partition keys, so it would let a second event with the same number but another time or retention pass.
CREATE UNIQUE INDEX security_event_log_source ON public.security_event_log (source_id, seq, occurred_at, retention);
CREATE INDEX security_event_log_time ON public.security_event_log (occurred_at);
CREATE INDEX security_event_log_type ON public.security_event_log (event_type, occurred_at);
CREATE INDEX security_event_log_address ON public.security_event_log (ip_address, occurred_at)
  WHERE ip_address IS NOT NULL;
CREATE INDEX security_event_log_actor ON public.security_event_log (actor_id, occurred_at)
  WHERE actor_id IS NOT NULL;
CREATE INDEX security_event_log_created ON public.security_event_log USING brin (created_at)
  WITH (pages_per_range = 32, autosummarize = on);

-- Privileges refuse changes to everyone but the owner. This refuses them to the owner and to superusers too, as
-- accidents: the maintenance functions, and nobody else, set seclog.maintenance for their transaction.
CREATE FUNCTION public.seclog_refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('seclog.maintenance', true) = 'on' AND current_user = 'seclog_owner' THEN
    IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% refused: security events are never changed or deleted', TG_OP
    USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
      HINT = 'Retention drops whole partitions; erasure of a person has a function of its own.';
END $$;
REVOKE ALL ON FUNCTION public.seclog_refuse_change() FROM PUBLIC;

-- PostgreSQL clones the row trigger to every partition, also later ones; the TRUNCATE trigger it does not.
CREATE TRIGGER seclog_append_only BEFORE UPDATE OR DELETE ON public.security_event_log
  FOR EACH ROW EXECUTE FUNCTION public.seclog_refuse_change();
DO $$
DECLARE part regclass;
BEGIN
  FOR part IN SELECT relid FROM pg_partition_tree('public.security_event_log') LOOP
    EXECUTE format('CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON %s
      FOR EACH STATEMENT EXECUTE FUNCTION public.seclog_refuse_change()', part);
  END LOOP;
END $$;

-- Which category is kept how long; the writer's program reads it when it opens a source. Not listed: standard.
CREATE TABLE public.security_event_retention (
  category text PRIMARY KEY,
  retention text NOT NULL CHECK (retention IN ('short', 'standard', 'long'))
);
