-- Whether what a source's position covers is really stored: somebody else who has the source's key may have moved it.

-- The last number of the unbroken run from first_seq on that is stored: as the event with that id and time, or in
-- quarantine with that SHA-256 or erased, or removed by retention. A record that does not say who it is has the nil UUID:
-- then whatever has its number counts. A writer reads no table, so it must know the ids, and nobody else's.
-- SL001: another epoch has the source. SL004: unknown, or another key.
CREATE FUNCTION public.seclog_confirm(
  source uuid, own_epoch integer, key text, first_seq bigint, ids uuid[], times timestamptz[], digests text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known public.security_event_source;
  wanted record;
BEGIN
  SELECT * INTO known FROM public.security_event_source WHERE id = source;
  IF NOT FOUND OR known.key_hash <> sha256(convert_to(key, 'UTF8')) THEN
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

-- Until the privileges are set, which is another transaction.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
