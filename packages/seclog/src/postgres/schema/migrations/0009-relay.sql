-- A relay stores batches of any source that come out of a queue. It has the SHA-256 of the source's key and not the key, which
-- would travel through the queue otherwise. It may advance any source and changes nothing that is stored.

-- The name of the queue key with which the envelope was sealed that opened the source; empty for plain envelopes. Null: its
-- application opened it, with the key.
ALTER TABLE public.security_event_source ADD COLUMN sender text;

-- The rules for positions, once: the functions for writers have the key hashed, those for relays are given the hash.

-- Opens a source, or a known one for a higher epoch, and returns its position. `relayed` is the sender's name; null for the
-- application itself. A relay may come with a lower epoch: the queue may still have what the former owner of the spool sent.
-- SL001: a higher epoch has it. SL004: another spool has registered this id. SL007: another sender has opened it.
CREATE FUNCTION public.seclog_open(source uuid, new_epoch integer, hash bytea, relayed text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Moves a source's position over first_seq to new_last_seq, in the transaction that stored them. `own_epoch` is null for a
-- relay. SL001: another epoch has the source. SL002: stored before. SL003: there is a gap before it. SL004: unknown, or
-- another key.
CREATE FUNCTION public.seclog_move(source uuid, own_epoch integer, hash bytea, first_seq bigint, new_last_seq bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Puts a record that cannot be stored into quarantine, and moves the position over it. The longest that a spool holds has
-- 1 MiB; what is longer is cut, since it must not stop the log.
CREATE FUNCTION public.seclog_set_aside(
  source uuid, own_epoch integer, hash bytea, bad_seq bigint, why text, original bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  cut text := CASE WHEN octet_length(original) > 2097152
    THEN format(' [cut: the first 2097152 of %s bytes]', octet_length(original)) ELSE '' END;
BEGIN
  -- Where it is there already the position has passed it, and seclog_move says so.
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    VALUES (source, bad_seq, left(why, 1000) || cut, substring(original FROM 1 FOR 2097152)) ON CONFLICT DO NOTHING;
  PERFORM public.seclog_move(source, own_epoch, hash, bad_seq, bad_seq);
END $$;

-- The last number of the unbroken run from first_seq on that is stored: as the event with that id and time, or in
-- quarantine with that SHA-256 or erased, or removed by retention. A record that does not say who it is has the nil UUID:
-- then whatever has its number counts. Who asks reads no table, so it must know the ids, and nobody else's.
-- SL001: another epoch has the source. SL004: unknown, or another key.
CREATE FUNCTION public.seclog_find(
  source uuid, own_epoch integer, hash bytea, first_seq bigint, ids uuid[], times timestamptz[], digests text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- For writers, as before. No epoch is one that no source has: null would be a relay's.
CREATE OR REPLACE FUNCTION public.seclog_open_source(source uuid, new_epoch integer, key text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN public.seclog_open(source, new_epoch, sha256(convert_to(key, 'UTF8')), NULL);
END $$;

CREATE OR REPLACE FUNCTION public.seclog_advance(
  source uuid, own_epoch integer, key text, first_seq bigint, new_last_seq bigint
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.seclog_move(source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), first_seq, new_last_seq);
END $$;

CREATE OR REPLACE FUNCTION public.seclog_quarantine(
  source uuid, own_epoch integer, key text, bad_seq bigint, why text, original bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.seclog_set_aside(
    source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), bad_seq, why, original);
END $$;

CREATE OR REPLACE FUNCTION public.seclog_confirm(
  source uuid, own_epoch integer, key text, first_seq bigint, ids uuid[], times timestamptz[], digests text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN public.seclog_find(
    source, coalesce(own_epoch, 0), sha256(convert_to(key, 'UTF8')), first_seq, ids, times, digests);
END $$;

-- For relays.

-- The position of a source, 0 for an unknown one. Opens nothing.
CREATE FUNCTION public.seclog_relay_position(source uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT last_seq FROM public.security_event_source WHERE id = source), 0)
$$;

CREATE FUNCTION public.seclog_relay_open(source uuid, new_epoch integer, hash bytea, sender text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF num_nulls(source, new_epoch, hash, sender) > 0 OR new_epoch < 1 OR octet_length(hash) <> 32
    OR octet_length(sender) > 200
  THEN
    RAISE EXCEPTION 'a relay opens a source with an epoch from 1, a hash of 32 bytes and a sender of at most 200'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN public.seclog_open(source, new_epoch, hash, sender);
END $$;

CREATE FUNCTION public.seclog_relay_advance(source uuid, hash bytea, first_seq bigint, new_last_seq bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.seclog_move(source, NULL, hash, first_seq, new_last_seq);
END $$;

CREATE FUNCTION public.seclog_relay_quarantine(source uuid, hash bytea, bad_seq bigint, why text, original bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.seclog_set_aside(source, NULL, hash, bad_seq, why, original);
END $$;

CREATE FUNCTION public.seclog_relay_confirm(
  source uuid, hash bytea, first_seq bigint, ids uuid[], times timestamptz[], digests text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN public.seclog_find(source, NULL, hash, first_seq, ids, times, digests);
END $$;

-- Puts numbers on record that a queue has lost, each as an empty record in quarantine, and moves the position over them: what
-- follows can be stored, and the hole has a name.
CREATE FUNCTION public.seclog_relay_pass(source uuid, hash bytea, from_seq bigint, to_seq bigint, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_seq - from_seq >= 100000 OR btrim(coalesce(why, '')) = '' THEN
    RAISE EXCEPTION 'a relay passes at most 100000 numbers at once, and says why' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    SELECT source, number, left(why, 1000), '' FROM generate_series(from_seq, to_seq) AS number ON CONFLICT DO NOTHING;
  PERFORM public.seclog_move(source, NULL, hash, from_seq, to_seq);
END $$;

-- Puts on record that an operator dropped messages which could not be stored, as the database's own event. At most 1,000 of
-- them an hour, since own events are never pruned. SL006.
CREATE FUNCTION public.seclog_relay_dropped(queue text, dropped bigint, digests bytea[], why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
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
END $$;

-- A position that moves over n numbers looks at a bounded number of rows, as in 0008. Numbers that a queue lost are all in
-- quarantine, whatever rows a writer has inserted under them.
CREATE OR REPLACE FUNCTION public.seclog_require_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
-- Along the index, whatever the statistics of a young table say, and planned once: a log has many partitions.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET max_parallel_workers_per_gather = 0
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
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
END $$;

-- Until the privileges are set, which is another transaction.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
