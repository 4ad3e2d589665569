-- Privileges of the groups, none of which may change stored events. Every setup runs this after the migrations, in one
-- transaction, and so restores what was revoked or granted since. It leaves other roles' privileges alone: doctor
-- reports those.

-- Not ON ALL TABLES IN SCHEMA: an extension's tables there are not ours to revoke.
DO $$
DECLARE
  ours text;
BEGIN
  FOR ours IN
    SELECT 'TABLE ' || oid::regclass FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND relowner = 'seclog_owner'::regrole
    UNION ALL
    SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND proowner = 'seclog_owner'::regrole
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, seclog_writer, seclog_reader, seclog_sealer, seclog_relay, seclog_console', ours);
  END LOOP;
END $$;

-- The writer inserts events, without created_at, which the database sets. It reads nothing.
GRANT INSERT (
  id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code,
  allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id,
  actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service,
  environment, host, source_id, epoch, seq, v, salt, commitment, retention
) ON public.security_event_log TO seclog_writer;
-- It moves its own source's position through these functions, which require the source's key.
GRANT EXECUTE ON FUNCTION
  public.seclog_open_source(uuid, integer, text),
  public.seclog_advance(uuid, integer, text, bigint, bigint),
  public.seclog_quarantine(uuid, integer, text, bigint, text, bytea),
  public.seclog_confirm(uuid, integer, text, bigint, uuid[], timestamptz[], text[]),
  public.seclog_ensure_partitions(integer),
  public.seclog_describe()
  TO seclog_writer;

-- The relay inserts the same, and moves the position of any source whose key's SHA-256 it knows. It reads nothing.
GRANT INSERT (
  id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code,
  allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id,
  actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service,
  environment, host, source_id, epoch, seq, v, salt, commitment, retention
) ON public.security_event_log TO seclog_relay;
GRANT EXECUTE ON FUNCTION
  public.seclog_relay_position(uuid),
  public.seclog_relay_open(uuid, integer, bytea, text),
  public.seclog_relay_advance(uuid, bytea, bigint, bigint),
  public.seclog_relay_quarantine(uuid, bytea, bigint, text, bytea),
  public.seclog_relay_confirm(uuid, bytea, bigint, uuid[], timestamptz[], text[]),
  public.seclog_relay_pass(uuid, bytea, bigint, bigint, text),
  public.seclog_relay_dropped(text, bigint, bytea[], text),
  public.seclog_describe()
  TO seclog_relay;

-- The reader reads.
GRANT SELECT ON
  public.security_event_log,
  public.security_event_retention,
  public.security_event_source,
  public.security_event_quarantine,
  public.security_event_seal,
  public.security_event_tile,
  public.security_event_checkpoint,
  public.security_event_signature,
  public.security_event_key,
  public.security_event_removed,
  public.security_event_hold,
  public.security_event_tree,
  public.security_event_rollup,
  public.security_event_rolled,
  public.seclog_migration
  TO seclog_reader;
GRANT EXECUTE ON FUNCTION public.seclog_describe(), public.seclog_removal_digest(bigint) TO seclog_reader;

-- The sealer reads the columns of leaves, none of which identifies a person, and appends to the tree.
GRANT SELECT (
  id, occurred_at, created_at, event_type, level, category, outcome, method, route, status_code, allowed_methods, count,
  started_at, ended_at, logger, service, environment, host, source_id, epoch, seq, v, commitment, retention
) ON public.security_event_log TO seclog_sealer;
GRANT SELECT (source_id, seq, created_at, commitment) ON public.security_event_quarantine TO seclog_sealer;
GRANT SELECT (id, epoch, last_seq, opened_at, updated_at, login) ON public.security_event_source TO seclog_sealer;
GRANT SELECT ON
  public.security_event_seal,
  public.security_event_tile,
  public.security_event_checkpoint,
  public.security_event_signature,
  public.security_event_key,
  public.security_event_tree,
  public.seclog_migration
  TO seclog_sealer;
GRANT EXECUTE ON FUNCTION
  public.seclog_seal(bigint, bytea, bigint, bytea, text, bigint, text, text, uuid[], bigint[], bigint[], smallint[], bigint[], bytea[]),
  public.seclog_rotate_key(bigint, bytea, text, bigint, text, text),
  public.seclog_cosign(bigint, text, bigint, text),
  public.seclog_take_turn(uuid, double precision),
  public.seclog_make_partitions(integer),
  public.seclog_roll(bigint),
  public.seclog_describe()
  TO seclog_sealer;

-- The console keeps its users, sessions and views, and reads no event.
GRANT SELECT, INSERT, UPDATE, DELETE ON
  public.seclog_console_user,
  public.seclog_console_session,
  public.seclog_console_code,
  public.seclog_console_view
  TO seclog_console;
GRANT EXECUTE ON FUNCTION public.seclog_describe() TO seclog_console;

-- Enables triggers that were disabled. Only those: enabling locks the table for a moment.
DO $$
DECLARE
  disabled record;
BEGIN
  FOR disabled IN
    SELECT tgrelid::regclass AS rel, tgname FROM pg_trigger
      WHERE NOT tgisinternal AND tgenabled = 'D' AND tgname LIKE 'seclog\_%'
      ORDER BY 1, 2
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', disabled.rel, disabled.tgname);
  END LOOP;
END $$;
