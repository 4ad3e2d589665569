-- Who may do what, and that nobody may change what was stored. Every setup runs this, after the migrations and in one transaction, so that what was revoked or
-- granted since is put right. Only the groups are touched: a privilege that somebody gave to another role is doctor's
-- business.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, seclog_writer, seclog_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, seclog_writer, seclog_reader;

-- The writer adds events. Not created_at, which is the database's to say; and it reads nothing.
GRANT INSERT (
  id, occurred_at, event_type, level, category, outcome, method, method_original, path, route, status_code,
  allowed_methods, ip_address, ip_source, ip_chain, user_agent, request_host, request_id, trace_id, span_id,
  actor_id, actor_type, target_id, target_type, data, notes, count, started_at, ended_at, logger, service,
  environment, host, source_id, epoch, seq, v, salt, commitment, retention
) ON public.security_event_log TO seclog_writer;
-- Its own source's position it keeps through these, which ask for the source's key.
GRANT EXECUTE ON FUNCTION
  public.seclog_open_source(uuid, integer, text),
  public.seclog_advance(uuid, integer, text, bigint, bigint),
  public.seclog_quarantine(uuid, integer, text, bigint, text, bytea),
  public.seclog_ensure_partitions(integer),
  public.seclog_describe()
  TO seclog_writer;

-- The reader reads.
GRANT SELECT ON
  public.security_event_log,
  public.security_event_retention,
  public.security_event_source,
  public.security_event_quarantine,
  public.seclog_migration
  TO seclog_reader;
GRANT EXECUTE ON FUNCTION public.seclog_describe() TO seclog_reader;

-- Triggers that somebody disabled. Only those: enabling locks the table for a moment.
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
