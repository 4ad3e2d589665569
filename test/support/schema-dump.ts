/**
 * The schema as the live catalogue has it, as readable SQL-like text: a `pg_dump --schema-only`, which the embedded
 * binaries lack. Month partitions are left out, since they depend on the day.
 */

interface Queryable {
  query<Row extends { text: string }>(sql: string): Promise<Row[]>;
}

const SECTIONS: readonly (readonly [title: string, sql: string])[] = [
  [
    "Types",
    `SELECT format('%s: %s (owner %s)', t.typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder),
        pg_get_userbyid(t.typowner)) AS text
      FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typnamespace = 'public'::regnamespace
      GROUP BY t.typname, t.typowner ORDER BY t.typname`,
  ],
  [
    "Tables",
    `SELECT format(E'%s (owner %s)%s%s%s', c.relname, pg_get_userbyid(c.relowner),
        CASE WHEN c.relispartition THEN ' ' || pg_get_expr(c.relpartbound, c.oid) END,
        CASE WHEN c.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) END,
        CASE WHEN NOT c.relispartition THEN (SELECT string_agg(format(E'\\n  %s %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attcollation <> 0 AND a.attcollation <> 100 THEN ' COLLATE ' || a.attcollation::regcollation END,
            CASE WHEN a.attnotnull THEN ' NOT NULL' END, ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)), '' ORDER BY attnum)
          FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END) AS text
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
        AND c.relname !~ '_\\d{4}_\\d\\d$' ORDER BY c.relname`,
  ],
  [
    "Constraints",
    `SELECT format('%s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) AS text
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
        AND conrelid::regclass::text !~ '_\\d{4}_\\d\\d$' ORDER BY conrelid::regclass::text, conname`,
  ],
  [
    "Indexes",
    `SELECT pg_get_indexdef(i.indexrelid) AS text FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
        AND NOT c.relispartition ORDER BY i.indexrelid::regclass::text`,
  ],
  [
    "Triggers",
    `SELECT pg_get_triggerdef(t.oid) AS text FROM pg_trigger t
      WHERE NOT t.tgisinternal AND t.tgrelid::regclass::text !~ '_\\d{4}_\\d\\d$' ORDER BY t.tgrelid::regclass::text, t.tgname`,
  ],
  [
    "Functions",
    `SELECT format(E'(owner %s)\\n%s', pg_get_userbyid(proowner), pg_get_functiondef(oid)) AS text
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname`,
  ],
  [
    "Privileges",
    `SELECT * FROM (
      SELECT format('%s on %s to %s', string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), c.relname,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END) AS text
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner GROUP BY c.relname, a.grantee
      UNION ALL
      SELECT format('%s (%s) on %s to %s', a.privilege_type, string_agg(attname, ', ' ORDER BY attnum), attrelid::regclass,
          pg_get_userbyid(a.grantee))
        FROM pg_attribute, aclexplode(attacl) a
        WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        GROUP BY a.privilege_type, attrelid, a.grantee
      UNION ALL
      SELECT format('EXECUTE on %s to %s', p.oid::regprocedure,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END)
        FROM pg_proc p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.pronamespace = 'public'::regnamespace AND a.grantee <> p.proowner
      UNION ALL
      SELECT format('%s on schema public to %s', a.privilege_type,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END)
        FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'public' AND a.grantee <> n.nspowner
      UNION ALL
      SELECT format('%s on the database to %s', a.privilege_type,
          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END)
        FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() AND a.grantee <> d.datdba
    ) AS privileges ORDER BY text COLLATE "C"`,
  ],
];

/** Dumps the schema `public` of a database. */
export async function dumpSchema(database: Queryable): Promise<string> {
  let dump =
    "-- Made from the live catalogue by a test: `npx vitest run packages/seclog/src/postgres/schema/schema.test.ts --update`.\n";
  for (const [title, sql] of SECTIONS) {
    const rows = await database.query(sql);
    dump += `\n-- ${title}\n\n${rows.map(({ text }) => `${text.trimEnd()}\n`).join("")}`;
  }
  return dump;
}
