-- Tamper evidence: a Merkle tree over all that is stored, with signed checkpoints. docs/design/integrity.md has the
-- format. A leaf is a number of a source: its event, its record in quarantine, or that it was missing. A sealer appends
-- ranges of numbers, each source's without a hole; so where a leaf stands follows from the range that it is in.

-- Whoever may write could else store a row that nobody can read in one piece. Our own programs cut texts far below; what is in
-- a leaf as text stays below 65,535 bytes, also when JSON escapes each of its bytes by number.
ALTER TABLE public.security_event_log ADD CONSTRAINT security_event_log_size CHECK (
  octet_length(concat(allowed_methods, category, environment, event_type, host, logger, method, route, service)) <= 10000
  AND octet_length(retention) <= 100
  AND pg_column_size(data) <= 4194304 AND pg_column_size(notes) <= 1048576
  AND pg_column_size(path) <= 65536 AND pg_column_size(user_agent) <= 65536 AND pg_column_size(ip_chain) <= 65536
  AND pg_column_size(method_original) <= 65536 AND pg_column_size(request_host) <= 65536
  AND pg_column_size(request_id) <= 65536 AND pg_column_size(trace_id) <= 65536 AND pg_column_size(span_id) <= 65536
  AND pg_column_size(ip_source) <= 65536
  AND pg_column_size(actor_id) <= 65536 AND pg_column_size(actor_type) <= 65536
  AND pg_column_size(target_id) <= 65536 AND pg_column_size(target_type) <= 65536
  AND pg_column_size(salt) <= 100 AND pg_column_size(commitment) <= 100
);

-- As before, and no further than a batch at a time: every number that a source passes becomes a leaf, stored or not.
CREATE OR REPLACE FUNCTION public.seclog_advance(source uuid, own_epoch integer, key text, first_seq bigint, new_last_seq bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  hash bytea := sha256(convert_to(key, 'UTF8'));
  known public.security_event_source;
BEGIN
  IF new_last_seq - first_seq >= 100000 THEN
    RAISE EXCEPTION 'source % would pass % numbers at once, more than any batch has', source, new_last_seq - first_seq + 1
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
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

-- Numbers of sources, in the order of the leaves: leaf first_leaf + i is number first_seq + i.
CREATE TABLE public.security_event_seal (
  first_leaf bigint PRIMARY KEY,
  source_id uuid NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL CHECK (last_seq >= first_seq)
);
CREATE UNIQUE INDEX security_event_seal_source ON public.security_event_seal (source_id, first_seq);

-- The hashes of the tree (https://c2sp.org/tlog-tiles). A tile grows to 256 hashes and never changes otherwise; the
-- partial tiles of earlier sizes are its beginnings.
CREATE TABLE public.security_event_tile (
  level smallint NOT NULL,
  tile bigint NOT NULL,
  hashes bytea NOT NULL,
  PRIMARY KEY (level, tile)
);
-- Hashes do not compress.
ALTER TABLE public.security_event_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Every state that was signed, and who signed it: the log's key, a new key beside the old one, witnesses.
CREATE TABLE public.security_event_checkpoint (
  size bigint PRIMARY KEY,
  origin text NOT NULL,
  root bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE public.security_event_signature (
  size bigint NOT NULL,
  name text NOT NULL,
  key_id bigint NOT NULL,
  line text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (size, name, key_id)
);
-- Which key seals which sizes. For the sealer, so that a retired key seals no more; an auditor believes none of it.
CREATE TABLE public.security_event_key (
  name text NOT NULL,
  key_id bigint NOT NULL,
  vkey text NOT NULL,
  first_size bigint NOT NULL,
  last_size bigint,
  PRIMARY KEY (name, key_id)
);

-- What was taken away afterwards, and by which event of the log's own source it is on record.
CREATE TABLE public.security_event_removed (
  own_seq bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('erased', 'pruned')),
  source_id uuid NOT NULL,
  seqs int8multirange NOT NULL,
  PRIMARY KEY (own_seq, source_id)
);

-- What retention and erasure must leave alone for now.
CREATE TABLE public.security_event_hold (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason text NOT NULL CHECK (btrim(reason) <> ''),
  retention text CHECK (retention IN ('short', 'standard', 'long')),
  since timestamptz NOT NULL DEFAULT '-infinity',
  until timestamptz NOT NULL DEFAULT 'infinity',
  placed_at timestamptz NOT NULL DEFAULT now(),
  released_at timestamptz,
  CHECK (since < until)
);

-- A UUIDv7 (RFC 9562).
CREATE FUNCTION public.seclog_uuid7(at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT encode(set_byte(bytes, 6, (get_byte(bytes, 6) & 15) | 112), 'hex')::uuid
    FROM (SELECT overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6) AS bytes) AS made
$$;
REVOKE ALL ON FUNCTION public.seclog_uuid7(timestamptz) FROM PUBLIC;

-- The tree as it stands, one row; and the source of the database's own events, whose key nobody has.
CREATE TABLE public.security_event_tree (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  size bigint NOT NULL DEFAULT 0,
  root bytea NOT NULL DEFAULT sha256(''),
  own_source uuid NOT NULL DEFAULT public.seclog_uuid7(now())
);
INSERT INTO public.security_event_tree DEFAULT VALUES;
INSERT INTO public.security_event_source (id, epoch, key_hash)
  SELECT own_source, 1, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
  FROM public.security_event_tree;

-- The database's own events are few and say what was taken away: never under retention.
CREATE TABLE public.security_event_log_own PARTITION OF public.security_event_log FOR VALUES IN ('own');
CREATE FUNCTION public.seclog_refuse_foreign() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_user = 'seclog_owner' THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'only the log itself records events that retention leaves alone'
    USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$;
REVOKE ALL ON FUNCTION public.seclog_refuse_foreign() FROM PUBLIC;
CREATE TRIGGER seclog_own_only BEFORE INSERT ON public.security_event_log_own
  FOR EACH ROW EXECUTE FUNCTION public.seclog_refuse_foreign();

-- A record in quarantine is a leaf as well: its reason and bytes may name a person, so a commitment stands for them.
ALTER TABLE public.security_event_quarantine ADD COLUMN salt bytea, ADD COLUMN commitment bytea;
CREATE FUNCTION public.seclog_commit_quarantine() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.salt := uuid_send(gen_random_uuid());
  NEW.commitment := sha256(NEW.salt || convert_to(NEW.reason, 'UTF8') || '\x00'::bytea || NEW.record);
  RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION public.seclog_commit_quarantine() FROM PUBLIC;
DO $$
BEGIN
  PERFORM set_config('seclog.maintenance', 'on', true);
  UPDATE public.security_event_quarantine SET salt = uuid_send(gen_random_uuid());
  UPDATE public.security_event_quarantine
    SET commitment = sha256(salt || convert_to(reason, 'UTF8') || '\x00'::bytea || record);
  PERFORM set_config('seclog.maintenance', 'off', true);
END $$;
ALTER TABLE public.security_event_quarantine ALTER COLUMN commitment SET NOT NULL;
CREATE TRIGGER seclog_commit BEFORE INSERT ON public.security_event_quarantine
  FOR EACH ROW EXECUTE FUNCTION public.seclog_commit_quarantine();

DO $$
DECLARE rel text;
BEGIN
  FOREACH rel IN ARRAY ARRAY['security_event_seal', 'security_event_tile', 'security_event_checkpoint',
    'security_event_signature', 'security_event_key', 'security_event_removed', 'security_event_hold',
    'security_event_tree'] LOOP
    EXECUTE format('CREATE TRIGGER seclog_append_only BEFORE UPDATE OR DELETE ON public.%I
      FOR EACH ROW EXECUTE FUNCTION public.seclog_refuse_change()', rel);
  END LOOP;
  FOREACH rel IN ARRAY ARRAY['security_event_seal', 'security_event_tile', 'security_event_checkpoint',
    'security_event_signature', 'security_event_key', 'security_event_removed', 'security_event_hold',
    'security_event_tree', 'security_event_log_own'] LOOP
    EXECUTE format('CREATE TRIGGER seclog_no_truncate BEFORE TRUNCATE ON public.%I
      FOR EACH STATEMENT EXECUTE FUNCTION public.seclog_refuse_change()', rel);
  END LOOP;
END $$;

-- Appends to the tree: compare-and-set on the tree that stands, ranges, tiles and the signed checkpoint in one
-- transaction. The sealer computes, this refuses what cannot be: whoever calls it can add leaves, never alter one.
-- SL010: another sealer was there. SL011: the key is not the one that seals. SL012: a range leaves a hole, or
-- overtakes its source. SL013: a tile that stands would be changed.
CREATE FUNCTION public.seclog_seal(
  old_size bigint, old_root bytea, new_size bigint, new_root bytea,
  log_origin text, signer_id bigint, signer_vkey text, signature_line text,
  sources uuid[], firsts bigint[], lasts bigint[],
  levels smallint[], tiles bigint[], tile_hashes bytea[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Retires the key that seals: the newest checkpoint is signed by the new one, too, and from there on only that one seals.
CREATE FUNCTION public.seclog_rotate_key(
  at_size bigint, at_root bytea, log_origin text, signer_id bigint, signer_vkey text, signature_line text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Keeps a witness's signature of a checkpoint.
CREATE FUNCTION public.seclog_cosign(at_size bigint, signer text, signer_id bigint, signature_line text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.security_event_checkpoint WHERE size = at_size AND origin <> signer) THEN
    RAISE EXCEPTION 'there is no checkpoint of % leaves for % to sign', at_size, signer USING ERRCODE = 'SL010';
  END IF;
  INSERT INTO public.security_event_signature (size, name, key_id, line)
    VALUES (at_size, signer, signer_id, signature_line) ON CONFLICT DO NOTHING;
END $$;

-- Records what was done to the log itself, as the next event of the database's own source, and gives its number.
-- `own_data` is a JSON object in canonical form (RFC 8785).
CREATE FUNCTION public.seclog_own_event(own_type text, own_data text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
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
END $$;

-- The number that the next event of the database's own source will have; held until the transaction ends.
CREATE FUNCTION public.seclog_next_own_seq() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT source.last_seq + 1 FROM public.security_event_source AS source
    WHERE source.id = (SELECT own_source FROM public.security_event_tree) FOR UPDATE
$$;

-- What removal `removal` took, as the event that records it commits to it: SHA-256 of a line for each source, in
-- their order: `source_id {[from,to),…}`.
CREATE FUNCTION public.seclog_removal_digest(removal bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT encode(sha256(convert_to(coalesce(string_agg(source_id || ' ' || seqs || E'\n', '' ORDER BY source_id), ''), 'UTF8')), 'hex')
    FROM public.security_event_removed WHERE own_seq = removal
$$;

-- Erases a person: the personal columns and salts of the events that all the criteria given match. Their commitments
-- stay, so every proof still holds. Never the database's own events, nor what a hold covers. `only_count` changes nothing.
CREATE FUNCTION public.seclog_erase(
  actor text, target text, address inet, events uuid[], since timestamptz, until timestamptz, reason text, only_count boolean,
  OUT erased bigint, OUT held bigint, OUT quarantined bigint, OUT first_at timestamptz, OUT last_at timestamptz,
  OUT types json, OUT recorded_as bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
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
END $$;

-- Ends a month of a retention class: drops its partition, and keeps which numbers that were.
-- SL020: it has events that are not sealed. SL021: a hold covers it. SL022: there is no such partition.
CREATE FUNCTION public.seclog_prune(class text, month timestamptz, reason text, OUT pruned bigint, OUT recorded_as bigint)
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
  PERFORM public.seclog_own_event('log_retention', format(
    '{"before":"%s","partitions":["%s"],"reason":%s,"rows":%s,"sha256":"%s"%s}',
    to_char(upper_end, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), part, to_json(reason), pruned,
    public.seclog_removal_digest(recorded_as), ',"strays":' || nullif(strays, 0)));
END $$;

-- Puts a hold on a time of one retention class, or of all, and says its number.
CREATE FUNCTION public.seclog_hold(why text, class text, from_time timestamptz, to_time timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  hold public.security_event_hold;
BEGIN
  INSERT INTO public.security_event_hold (reason, retention, since, until)
    VALUES (why, class, coalesce(from_time, '-infinity'), coalesce(to_time, 'infinity')) RETURNING * INTO hold;
  PERFORM public.seclog_own_event('log_retention', format('{%s"hold":%s,"reason":%s%s%s}',
    '"class":' || to_json(class) || ',', hold.id, to_json(why),
    to_char(from_time, '",\"since\":\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), to_char(to_time, '",\"until\":\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""')));
  RETURN hold.id;
END $$;

-- Ends a hold; says whether there was one.
CREATE FUNCTION public.seclog_release(hold_id bigint, why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

-- Says how long a category is kept, for events that come from now on: a running application reads it when it opens a source.
CREATE FUNCTION public.seclog_keep(for_category text, class text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO public.security_event_retention (category, retention) VALUES (for_category, class)
    ON CONFLICT (category) DO UPDATE SET retention = excluded.retention;
  PERFORM public.seclog_own_event('log_retention',
    format('{"category":%s,"class":%s}', to_json(for_category), to_json(class)));
END $$;

-- Until the privileges are set, which is another transaction.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
