/** Selects the log, its partitions, and the other tables of Seclog. */
export const OUR_TABLES = `
  SELECT c.oid, c.relname::text AS name FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND (c.relname LIKE 'security\\_event\\_%' OR c.relname LIKE 'seclog\\_%')`;
