/**
 * Turns a query into the condition of a statement. Every value is a parameter. `matchQuery` of @seclog/api decides the
 * same in memory; a property test compares the two, so change both.
 */
import {
  fieldNamed,
  inJson,
  needlesOf,
  PERSON_KEYS,
  type Query,
  TEXT_COLUMNS,
  type Term,
  type Value,
} from "@seclog/api";
import { type RawBuilder, type SqlBool, sql } from "kysely";

type Condition = RawBuilder<SqlBool>;

/**
 * A query's condition on rows of `security_event_log`. Its times must be moments (`resolveTimes`).
 *
 * A comparison with NULL is NULL, which AND and OR carry upwards as if it were false, and NOT must take for false.
 */
export function querySql(query: Query): Condition {
  switch (query.kind) {
    case "and":
      return joined(query.parts.map(querySql), sql` AND `, sql`true`);
    case "or":
      return joined(query.parts.map(querySql), sql` OR `, sql`false`);
    case "not":
      return sql`(${querySql(query.part)}) IS NOT TRUE`;
    case "text":
      return textSql(query.text);
    case "term":
      return termSql(query);
  }
}

function joined(conditions: readonly Condition[], separator: RawBuilder<unknown>, none: Condition): Condition {
  const [only] = conditions;
  if (conditions.length <= 1) return only ?? none;
  return sql`(${sql.join(conditions, separator)})`;
}

function termSql(term: Term): Condition {
  const columns = (fieldNamed(term.field)?.columns ?? []).map((column) => sql.ref(column));
  if (term.values.length === 0)
    return joined(
      columns.map((column) => sql`${column} IS NOT NULL`),
      sql` OR `,
      sql`false`,
    );
  const [column = sql.ref("id"), other = column] = columns;
  const kind = fieldNamed(term.field)?.kind;
  const plain = term.values.flatMap((value) => (value.kind === "text" && !value.pattern ? [value.text] : []));
  // One list instead of many comparisons, for the fields that compare as stored. A single value can use an index.
  if (plain.length === term.values.length && plain.length > 1) {
    if (kind === "uuid") return sql`${column} = ANY (${plain}::uuid[])`;
    if (kind === "word") return sql`${column}::text = ANY (${plain}::text[])`;
    if (kind === "name" || kind === "text") return sql`${column} = ANY (${plain}::text[])`;
  }
  return joined(
    term.values.map((value) => valueSql(term, value, column, other)),
    sql` OR `,
    sql`false`,
  );
}

function valueSql(
  { field, operator }: Term,
  value: Value,
  column: RawBuilder<unknown>,
  other: RawBuilder<unknown>,
): Condition {
  switch (value.kind) {
    case "range":
      return rangeSql(field === "count" ? sql`coalesce(${column}, 1)` : column, value.from, value.to);
    case "network":
      // `=` for a single address, since only that uses the index.
      return value.bits === null
        ? sql`${column} = ${value.address}::inet`
        : sql`${column} <<= ${`${value.address}/${value.bits}`}::inet`;
    case "time":
      return field === "since"
        ? sql`${column} >= ${value.text}::timestamptz`
        : sql`${column} < ${value.text}::timestamptz`;
    case "text":
      break;
  }
  const { text, pattern } = value;
  const equals = (own: RawBuilder<unknown>): Condition =>
    pattern ? sql`${own} LIKE ${wildcards(text)}` : sql`${own} = ${text}`;
  switch (fieldNamed(field)?.kind) {
    case "word":
      return sql`${column}::text = ${text}`;
    case "uuid":
      return sql`${column} = ${text}::uuid`;
    case "json":
      return jsonSql(column, text);
    case "path":
      return operator === ":" && !pattern ? sql`${column} LIKE ${`${literally(text)}%`}` : equals(column);
    case "person":
      return pattern || operator === "="
        ? equals(column)
        : joined([equals(column), ...namedSql(PERSON_KEYS[field] ?? "", text)], sql` OR `, sql`false`);
    case "method":
      // An unknown method is stored as sent, beside `_OTHER`.
      return sql`(${equals(column)} OR ${equals(sql`upper(${other} COLLATE "C")`)})`;
    case "host": {
      const requested = sql`lower(${column} COLLATE "C")`;
      const withPort = pattern ? [] : [sql<SqlBool>`${requested} LIKE ${`${literally(text)}:%`}`];
      return joined([equals(requested), ...withPort, equals(sql`lower(${other} COLLATE "C")`)], sql` OR `, sql`false`);
    }
    default:
      return equals(column);
  }
}

function rangeSql(column: RawBuilder<unknown>, from: number | null, to: number | null): Condition {
  if (from !== null && from === to) return sql`${column} = ${from}::bigint`;
  const low = from === null ? [] : [sql<SqlBool>`${column} >= ${from}::bigint`];
  const high = to === null ? [] : [sql<SqlBool>`${column} <= ${to}::bigint`];
  return joined([...low, ...high], sql` AND `, sql`true`);
}

/**
 * Whether an id is in `data` under a name that ends in `key`, as a text or as a number.
 *
 * `seclog_erase` has the same condition in SQL, letter for letter, so that a search previews what would be erased.
 * test/removal.test.ts holds the two together ("matches the same events for --actor and --target").
 */
function namedSql(key: string, id: string): readonly Condition[] {
  return [
    sql`position(${key}::text || to_json(${id}::text)::text IN data::text) > 0`,
    ...(/^[0-9]+$/.test(id) ? [sql<SqlBool>`data::text ~ (${key}::text || ${id}::text || '[,}]')`] : []),
  ];
}

/** Bytes compare fastest, so under the "C" collation: with a locale's rules the same search takes twice as long. */
function textSql(text: string): Condition {
  const needles = needlesOf(text);
  const columns = TEXT_COLUMNS.flatMap((column) => needles.map((needle) => contains(lowered(sql.ref(column)), needle)));
  return joined([...columns, jsonSql(sql`data`, text)], sql` OR `, sql`false`);
}

/** In JSON, quotes and line ends are escaped. */
function jsonSql(column: RawBuilder<unknown>, text: string): Condition {
  const needles = [...new Set([...needlesOf(text), ...needlesOf(inJson(text))])];
  return joined(
    needles.map((needle) => contains(lowered(column), needle)),
    sql` OR `,
    sql`false`,
  );
}

function lowered(column: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`lower(${column}::text COLLATE "C")`;
}

function contains(text: RawBuilder<unknown>, needle: string): Condition {
  return sql`strpos(${text}, ${needle}) > 0`;
}

function literally(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

/** A LIKE pattern for a text in which `*` matches any text. */
export function wildcards(text: string): string {
  return literally(text).replaceAll("*", "%");
}
