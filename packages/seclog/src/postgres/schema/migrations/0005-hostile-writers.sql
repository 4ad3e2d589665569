-- A writer is an application, and an application can be taken over. Whatever its role may INSERT or call must not keep
-- others from storing, reading, sealing, verifying, erasing or pruning. docs/design/integrity.md, "The worst a
-- taken-over application can do", has what remains.

-- Positions without events. Every number that a source passes becomes a leaf, so a position that runs ahead of its events
-- is work for the sealer that costs the writer nothing. A position now moves over numbers only that have an event or a
-- record in quarantine. As a trigger, so that no function can forget it. SL005.
CREATE FUNCTION public.seclog_require_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
-- Along the index, whatever the statistics of a young table say, and planned once: a log has many partitions.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET max_parallel_workers_per_gather = 0
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  stored bigint;
BEGIN
  SELECT count(DISTINCT log.seq) INTO stored FROM public.security_event_log AS log
    WHERE log.source_id = NEW.id AND log.seq > OLD.last_seq AND log.seq <= NEW.last_seq;
  IF stored = NEW.last_seq - OLD.last_seq THEN RETURN NULL; END IF;
  SELECT stored + count(*) INTO stored FROM public.security_event_quarantine AS aside
    WHERE aside.source_id = NEW.id AND aside.seq > OLD.last_seq AND aside.seq <= NEW.last_seq;
  -- The database's own event follows its number within one function.
  IF stored = NEW.last_seq - OLD.last_seq OR NEW.id = (SELECT own_source FROM public.security_event_tree) THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'source % would pass numbers % to %, and only % of them have an event',
    NEW.id, OLD.last_seq + 1, NEW.last_seq, stored USING ERRCODE = 'SL005';
END $$;
REVOKE ALL ON FUNCTION public.seclog_require_events() FROM PUBLIC;
CREATE TRIGGER seclog_require_events AFTER UPDATE OF last_seq ON public.security_event_source
  FOR EACH ROW WHEN (NEW.last_seq > OLD.last_seq) EXECUTE FUNCTION public.seclog_require_events();

-- Puts a record that cannot be stored into quarantine, and moves the position over it. The longest that a spool holds has
-- 1 MiB; what is longer is cut, since it must not stop the log.
CREATE OR REPLACE FUNCTION public.seclog_quarantine(
  source uuid, own_epoch integer, key text, bad_seq bigint, why text, original bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  cut text := CASE WHEN octet_length(original) > 2097152
    THEN format(' [cut: the first 2097152 of %s bytes]', octet_length(original)) ELSE '' END;
BEGIN
  -- Where it is there already the position has passed it, and seclog_advance says so.
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    VALUES (source, bad_seq, left(why, 1000) || cut, substring(original FROM 1 FOR 2097152)) ON CONFLICT DO NOTHING;
  PERFORM public.seclog_advance(source, own_epoch, key, bad_seq, bad_seq);
END $$;

-- Whose a source is: the login role that opened it. Sealing takes turns among logins, so one of them waits for no other's.
-- It is not known of sources from before.
ALTER TABLE public.security_event_source ADD COLUMN IF NOT EXISTS login name;
CREATE INDEX security_event_source_login ON public.security_event_source ((coalesce(login::text, '')), updated_at, id);
CREATE INDEX security_event_source_empty ON public.security_event_source (login, updated_at) WHERE last_seq = 0;

-- A source is opened when its first event is about to be stored, so empty ones are few: those of processes that are just
-- starting. 10,000 of one login within an hour are none of an application's. SL006.
CREATE FUNCTION public.seclog_name_login() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
END $$;
REVOKE ALL ON FUNCTION public.seclog_name_login() FROM PUBLIC;
CREATE TRIGGER seclog_name_login BEFORE INSERT ON public.security_event_source
  FOR EACH ROW EXECUTE FUNCTION public.seclog_name_login();

-- Whose turn it is to seal. Not an advisory lock: every role that may connect can take one of those, and keep it.
CREATE TABLE public.security_event_sealer (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  holder uuid,
  until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO public.security_event_sealer DEFAULT VALUES;

-- Takes the turn for so many seconds, renews it, or gives it back (0); says whether the caller has it.
CREATE FUNCTION public.seclog_take_turn(who uuid, seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE public.security_event_sealer SET holder = who, until = clock_timestamp() + make_interval(secs => least(seconds, 7200))
    WHERE holder = who OR until <= clock_timestamp();
  RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION public.seclog_take_turn(uuid, double precision) FROM PUBLIC;

-- When a row was stored is when it was, and not when its transaction began: that can be held open for days.
ALTER TABLE public.security_event_log ALTER COLUMN created_at SET DEFAULT clock_timestamp();
ALTER TABLE public.security_event_quarantine ALTER COLUMN created_at SET DEFAULT clock_timestamp();

-- What no event says: its times have years of four digits (event/encode.ts). Rows that are there already stay as they are:
-- every reader copes with them.
ALTER TABLE public.security_event_log ADD CONSTRAINT security_event_log_values CHECK (
  occurred_at >= '0001-01-01 00:00:00+00' AND occurred_at < '10000-01-01 00:00:00+00'
  AND seq >= 1 AND epoch >= 1 AND v >= 1
  AND retention IN ('standard', 'short', 'long', 'own')
  AND (count IS NULL OR count BETWEEN 1 AND 9007199254740991)
  AND (started_at IS NULL OR (started_at >= '0001-01-01 00:00:00+00' AND started_at < '10000-01-01 00:00:00+00'))
  AND (ended_at IS NULL OR (ended_at >= '0001-01-01 00:00:00+00' AND ended_at < '10000-01-01 00:00:00+00'))
  AND (data IS NULL OR json_typeof(data) = 'object') AND (notes IS NULL OR json_typeof(notes) = 'object')
) NOT VALID;

-- Partitions are made by the sealer's program and by setup, each in a transaction of its own. A new partition locks readers
-- and writers out until its transaction ends, so nothing that a writer can call makes one. Older libraries call this daily.
CREATE OR REPLACE FUNCTION public.seclog_ensure_partitions(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT 0 $$;

-- Adds one month to one retention class, and takes over what the default partition holds of it, as long as that is done in
-- seconds. ATTACH, and not CREATE … PARTITION OF, because that would wait for every running COPY and hold up every later one.
CREATE OR REPLACE FUNCTION public.seclog_add_partition(class text, month timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
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
END $$;

-- Makes what is missing from last month to `months_ahead` (1 to 24) after this one, for every retention class, and says how
-- many partitions that were. Reads the catalogue only when nothing is missing. Never raises: a month that could not be added
-- now is added by a later call, and its events are in the default partition until then. Gives up at the first lock that
-- somebody holds: an open reader of the log holds them all.
CREATE FUNCTION public.seclog_make_partitions(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
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
END $$;
REVOKE ALL ON FUNCTION public.seclog_make_partitions(integer) FROM PUBLIC;
