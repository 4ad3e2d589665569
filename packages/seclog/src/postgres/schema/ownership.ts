import type { Queryable } from "./access.ts";
import { OWNER } from "./setup-sql.ts";

/** A part of the log that does not belong to its owner. */
export interface ForeignObject {
  /** As in `ALTER … OWNER TO`: `public.security_event_log`, `public.seclog_describe()`. */
  readonly name: string;
  readonly owner: string;
  /** Whether it is a function that runs with its owner's rights (SECURITY DEFINER). */
  readonly definer: boolean;
}

/**
 * The objects that setup would give to `seclog_owner`. After a restore without owners everything belongs to the role
 * that restored it, and functions that act for a writer run with all of that role's rights. Needs no privilege but
 * CONNECT.
 */
export async function foreignObjects(connection: Queryable): Promise<readonly ForeignObject[]> {
  const { rows } = await connection.query(
    `SELECT name, pg_get_userbyid(owner) AS owner, definer FROM (
        SELECT format('the database %I', datname) AS name, datdba AS owner, false AS definer
          FROM pg_catalog.pg_database WHERE datname = current_database() AND EXISTS (SELECT FROM pg_catalog.pg_class
            -- Not to_regclass(), which fails without USAGE on the schema.
            WHERE relnamespace = to_regnamespace('public') AND relname = 'seclog_migration')
        UNION ALL
        SELECT format('public.%I', relname), relowner, false FROM pg_catalog.pg_class
          WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'v') AND relname ~ '^(security_event_|seclog_)'
        UNION ALL
        SELECT format('public.%I', typname), typowner, false FROM pg_catalog.pg_type
          WHERE typnamespace = to_regnamespace('public') AND typtype = 'e' AND typname ~ '^(security_event_|seclog_)'
        UNION ALL
        SELECT format('public.%I(%s)', proname, pg_get_function_identity_arguments(oid)), proowner, prosecdef
          FROM pg_catalog.pg_proc WHERE pronamespace = to_regnamespace('public') AND proname ~ '^seclog_'
      ) AS ours WHERE pg_get_userbyid(owner) <> $1 ORDER BY definer DESC, name`,
    [OWNER],
  );
  return rows as ForeignObject[];
}
