-- Ownership of the database and its objects. Every setup runs this as the administrator, before anything it does as
-- seclog_owner. Objects that a restore without owners or an upgrade from PostgreSQL 14 left to another role are given
-- to seclog_owner; if the administrator may not do that, the error has the statement that another role must run
-- (SL030). SL031 is a warning.

DO $$
DECLARE
  database text := current_database();
  owner text := (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database());
BEGIN
  IF owner = 'seclog_owner' THEN RETURN; END IF;
  EXECUTE format('ALTER DATABASE %I OWNER TO seclog_owner', database);
EXCEPTION WHEN insufficient_privilege THEN
  RAISE EXCEPTION 'the database % belongs to %: have % or a superuser run ALTER DATABASE % OWNER TO seclog_owner',
    database, owner, owner, quote_ident(database) USING ERRCODE = 'SL030';
END $$;

-- The schema public. In PostgreSQL 14, and in clusters upgraded from it, a superuser owns it and PUBLIC has CREATE.
DO $$
DECLARE
  owner text := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public');
  repair text;
  other record;
BEGIN
  IF owner IS NULL THEN RETURN; END IF;
  IF owner NOT IN ('seclog_owner', 'pg_database_owner') THEN
    repair := format('have %s or a superuser run in the database %s: ALTER SCHEMA public OWNER TO seclog_owner', owner, current_database());
    BEGIN
      ALTER SCHEMA public OWNER TO seclog_owner;
    EXCEPTION WHEN insufficient_privilege THEN
      IF NOT (has_schema_privilege('seclog_owner', 'public', 'CREATE') AND has_schema_privilege('seclog_owner', 'public', 'USAGE')) THEN
        RAISE EXCEPTION 'the schema public belongs to %, and seclog_owner may not create tables in it: %', owner, repair
          USING ERRCODE = 'SL030';
      END IF;
      RAISE WARNING 'the schema public belongs to %, so PUBLIC''s privileges there could not be revoked: %, and run setup again',
        owner, repair USING ERRCODE = 'SL031';
    END;
  END IF;
  FOR other IN
    SELECT pg_get_userbyid(granted.grantee) AS name
      FROM pg_namespace, aclexplode(nspacl) AS granted
      WHERE nspname = 'public' AND granted.privilege_type = 'CREATE' AND granted.grantee NOT IN (0, nspowner)
        AND pg_get_userbyid(granted.grantee) <> 'seclog_owner' ORDER BY 1
  LOOP
    RAISE WARNING '% may create objects in the schema public: if it need not, REVOKE CREATE ON SCHEMA public FROM %',
      other.name, quote_ident(other.name) USING ERRCODE = 'SL031';
  END LOOP;
END $$;

-- Default privileges, which every new partition would get.
DO $$
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT DISTINCT CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(granted.grantee)) END AS grantee,
        CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'S' THEN 'SEQUENCES' ELSE 'TYPES' END AS kind,
        CASE WHEN defaclnamespace = 0 THEN '' ELSE ' IN SCHEMA public' END AS place
      FROM pg_default_acl, aclexplode(defaclacl) AS granted
      WHERE defaclrole = 'seclog_owner'::regrole AND defaclnamespace IN (0, to_regnamespace('public')) AND defaclobjtype IN ('r', 'f', 'S')
        AND granted.grantee <> defaclrole
        -- EXECUTE for PUBLIC is PostgreSQL's own default.
        AND NOT (defaclobjtype = 'f' AND granted.grantee = 0)
  LOOP
    RAISE WARNING 'objects that seclog_owner creates grant privileges to % by default: ALTER DEFAULT PRIVILEGES FOR ROLE seclog_owner% REVOKE ALL ON % FROM %',
      given.grantee, given.place, given.kind, given.grantee USING ERRCODE = 'SL031';
  END LOOP;
END $$;

-- Our tables, sequences, types and functions that another role owns. Only those of a superuser or of this administrator
-- are taken over: a function that any other role created must not start to run as seclog_owner.
DO $$
DECLARE
  thing record;
BEGIN
  FOR thing IN
    SELECT kind, name, pg_get_userbyid(owner) AS owner,
        owner = current_user::regrole OR EXISTS (SELECT FROM pg_roles WHERE oid = owner AND rolsuper) AS trusted
      FROM (
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, format('public.%I', relname) AS name,
            relowner AS owner, 1 AS place
          FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'S', 'v')
            AND relname ~ '^(security_event_|seclog_)'
            -- A column's sequence follows the owner of its table.
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i') AND relkind = 'S')
        UNION ALL
        SELECT 'TYPE', format('public.%I', typname), typowner, 2
          FROM pg_type WHERE typnamespace = to_regnamespace('public') AND typtype IN ('e', 'd') AND typname ~ '^(security_event_|seclog_)'
        UNION ALL
        SELECT 'ROUTINE', oid::regprocedure::text, proowner, 3
          FROM pg_proc WHERE pronamespace = to_regnamespace('public') AND proname ~ '^seclog_'
      ) AS ours
      WHERE owner <> 'seclog_owner'::regrole ORDER BY place, name
  LOOP
    IF NOT thing.trusted THEN
      RAISE EXCEPTION '% belongs to %, which is neither a superuser nor this administrator: find out who created it; if it comes from a restore, have % or a superuser run ALTER % % OWNER TO seclog_owner',
        thing.name, thing.owner, thing.owner, thing.kind, thing.name USING ERRCODE = 'SL030';
    END IF;
    BEGIN
      EXECUTE format('ALTER %s %s OWNER TO seclog_owner', thing.kind, thing.name);
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE EXCEPTION '% belongs to %, as after a restore without owners: run setup once with SECLOG_ADMIN_URL of %, which may give it to seclog_owner',
        thing.name, thing.owner, thing.owner USING ERRCODE = 'SL030';
    END;
  END LOOP;
END $$;

-- Another application's tables, other than those of an extension or of a provider of managed databases.
DO $$
DECLARE
  other text;
  is_set_up boolean := EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relname = 'seclog_migration');
BEGIN
  SELECT relname INTO other FROM pg_class
    WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname !~ '^(security_event_|seclog_)'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
      AND pg_get_userbyid(relowner) NOT IN ('rdsadmin', 'cloudsqladmin', 'alloydbadmin', 'azuresu', 'azure_superuser')
    ORDER BY relname LIMIT 1;
  IF other IS NULL THEN RETURN; END IF;
  IF is_set_up THEN
    RAISE WARNING 'the database % has other tables or views, such as %: the log should have a database of its own', current_database(), other
      USING ERRCODE = 'SL031';
  ELSE
    RAISE EXCEPTION 'the database % has other tables or views, such as %; give Seclog a database of its own', current_database(), other
      USING ERRCODE = 'SL030';
  END IF;
END $$;

-- The migrations revoke EXECUTE on all functions of the schema from PUBLIC. PostgreSQL requires that seclog_owner holds
-- it first, even on an extension's functions that exist before the first setup.
DO $$
DECLARE
  other record;
BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relname = 'seclog_migration') THEN RETURN; END IF;
  FOR other IN
    SELECT proc.oid::regprocedure::text AS name, extname FROM pg_proc AS proc
      JOIN pg_depend ON classid = 'pg_proc'::regclass AND objid = proc.oid AND deptype = 'e'
      JOIN pg_extension AS extension ON extension.oid = refobjid
      WHERE pronamespace = to_regnamespace('public') AND NOT has_function_privilege('seclog_owner', proc.oid, 'EXECUTE')
  LOOP
    EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO seclog_owner', other.name);
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE EXCEPTION 'seclog_owner may not call %, which the extension % created in the schema public: have a superuser move it (ALTER EXTENSION % SET SCHEMA …), and run setup again',
    other.name, other.extname, quote_ident(other.extname) USING ERRCODE = 'SL030';
END $$;
