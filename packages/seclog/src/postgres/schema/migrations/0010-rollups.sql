-- Counts of events by hour and by what identifies no person, so that a timeline of years and the most frequent types cost
-- milliseconds. They are made from rows that a position has passed, apart from storing: an event costs nothing more, and
-- whoever counts adds the rows that are not counted yet. Erasing a person changes none of these columns; dropping a month
-- drops its counts.

CREATE TABLE public.security_event_rollup (
  hour timestamptz NOT NULL,
  retention text NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  level public.security_event_level NOT NULL,
  category text NOT NULL,
  outcome public.security_event_outcome NOT NULL,
  service text,
  events bigint NOT NULL,
  occurrences numeric NOT NULL
);
CREATE UNIQUE INDEX security_event_rollup_key ON public.security_event_rollup
  (hour, retention, event_type, level, category, outcome, (coalesce(service, '')));

-- The number up to which each source is counted.
CREATE TABLE public.security_event_rolled (
  source_id uuid PRIMARY KEY,
  last_seq bigint NOT NULL
);

-- Counts the next events, at most so many numbers of all sources together, and returns how many; 0 if there are none, or if
-- another session is counting. The texts are cut as a writer that is not Seclog's may have stored any.
CREATE FUNCTION public.seclog_roll(most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
-- Along the index, whatever the statistics of a young table say.
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
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
END $$;

-- Forgets the counts, to be made anew.
CREATE FUNCTION public.seclog_unroll() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(91556946923337);
  DELETE FROM public.security_event_rollup;
  DELETE FROM public.security_event_rolled;
END $$;

-- As in 0004, and drops the month's counts.
CREATE OR REPLACE FUNCTION public.seclog_prune(class text, month timestamptz, reason text, OUT pruned bigint, OUT recorded_as bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
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
END $$;
