-- Partitions by month, made ahead. The writer's program calls this when it opens and once a day, so a database
-- that nobody looks after for a year still has them.

-- Adds one month to one retention class, and takes over what the default partition holds of it. ATTACH, and not
-- CREATE … PARTITION OF, because that would wait for every running COPY and hold up every later one.
CREATE FUNCTION public.seclog_add_partition(class text, month timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
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
END $$;

-- Makes what is missing from last month to `months_ahead` (1 to 24) after this one, for every retention class, and
-- says how many partitions that were. Reads the catalogue only when nothing is missing. Never raises: a month that
-- could not be added now is added by a later call, and its events are in the default partition until then. Gives up
-- at the first lock that somebody holds: an open reader of the log holds them all, and shipping waits for this.
CREATE FUNCTION public.seclog_ensure_partitions(months_ahead integer DEFAULT 3) RETURNS integer
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
END $$;
