-- How far each source has come. A batch and its position are committed together, so after a lost answer the
-- position is the truth. Only the functions below touch it: a writer moves its own source's position, in steps
-- without a hole, and nothing else.

CREATE TABLE public.security_event_source (
  id uuid PRIMARY KEY,
  -- The fencing token: who takes a source over has a higher one, and whoever has a lower one is refused.
  epoch integer NOT NULL,
  last_seq bigint NOT NULL DEFAULT 0,
  -- SHA-256 of the key that the source's spool keeps: proof that it is the same spool.
  key_hash bytea NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What could not become a row of the log, in its place in the sequence.
CREATE TABLE public.security_event_quarantine (
  source_id uuid NOT NULL,
  seq bigint NOT NULL,
  reason text NOT NULL,
  record bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source_id, seq)
);
CREATE TRIGGER seclog_append_only BEFORE UPDATE OR DELETE ON public.security_event_quarantine
  FOR EACH ROW EXECUTE FUNCTION public.seclog_refuse_change();
CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.security_event_quarantine
  FOR EACH STATEMENT EXECUTE FUNCTION public.seclog_refuse_change();

-- Registers a source, or takes it over with a higher epoch, and says how far it has come.
-- SL001: a higher epoch has it. SL004: another spool has registered this id.
CREATE FUNCTION public.seclog_open_source(source uuid, new_epoch integer, key text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Moves a source's position over first_seq to new_last_seq, in the transaction that stored them.
-- SL001: another epoch has the source. SL002: stored before. SL003: there is a gap before it. SL004: unknown, or
-- another key.
CREATE FUNCTION public.seclog_advance(source uuid, own_epoch integer, key text, first_seq bigint, new_last_seq bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Puts a record that cannot be stored into quarantine, and moves the position over it.
CREATE FUNCTION public.seclog_quarantine(
  source uuid, own_epoch integer, key text, bad_seq bigint, why text, original bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.seclog_advance(source, own_epoch, key, bad_seq, bad_seq);
  INSERT INTO public.security_event_quarantine (source_id, seq, reason, record)
    VALUES (source, bad_seq, left(why, 1000), original);
END $$;

-- What the writer's program must know before it writes, though it may read no table.
CREATE FUNCTION public.seclog_describe(OUT migrations json, OUT retention json)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT
    (SELECT json_agg(json_build_object('id', id, 'breaking', breaking) ORDER BY id) FROM public.seclog_migration),
    (SELECT json_object_agg(category, r.retention) FROM public.security_event_retention r)
$$;
