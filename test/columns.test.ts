/** Compares code that spells out an event's columns on purpose with the table that all other code derives them from. */
import { FIELDS, LEVELS as QUERY_LEVELS, OUTCOMES as QUERY_OUTCOMES, TEXT_COLUMNS } from "@seclog/api";
import pg from "pg";
import { LEVELS, OUTCOMES } from "seclog";
import { COLUMN_LIST, type ColumnKind, columnsOf } from "seclog/postgres/schema";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { encodeEvent } from "../packages/seclog/src/event/encode.ts";
import { exampleEvent } from "../packages/seclog/src/testing/example-events.ts";
import { EVENT_COLUMNS } from "../packages/verify/src/event-columns.ts";

const names = (part: "core" | "personal"): string[] => columnsOf(part).map(({ name }) => name);
/** Columns that the database adds to each part. */
const STORED = ["created_at", "retention", "commitment"];
const SALT = "salt";

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database[Symbol.asyncDispose]();
});

async function column<Value>(query: string): Promise<Value[]> {
  return (await client.query<[Value]>({ text: query, rowMode: "array" })).rows.map(([value]) => value);
}

describe("event/columns.ts", () => {
  it("has the table's columns, with the same types and NOT NULL", async () => {
    const { rows } = await client.query<{ name: string; type: string; kind: string; required: boolean }>(
      `SELECT attname AS name, format_type(atttypid, NULL) AS type, typtype AS kind, attnotnull AS required
        FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
        WHERE attrelid = 'public.security_event_log'::regclass AND attnum > 0 AND NOT attisdropped`,
    );
    expect(rows.map(({ name }) => name).sort()).toEqual(
      [...COLUMN_LIST.map(({ name }) => name), ...STORED, SALT].sort(),
    );
    const types: { readonly [K in Exclude<ColumnKind, "word">]: readonly string[] } = {
      text: ["text"],
      uuid: ["uuid"],
      time: ["timestamp with time zone"],
      integer: ["smallint", "integer", "bigint"],
      address: ["inet"],
      json: ["json", "jsonb"],
    };
    for (const { name, kind, required = false } of COLUMN_LIST) {
      const found = rows.find((row) => row.name === name);
      expect(found?.required, `${name} NOT NULL`).toBe(required);
      if (kind === "word") expect(found?.kind, `${name} is an enum`).toBe("e");
      else expect(types[kind], name).toContain(found?.type);
    }
  });

  it("has the columns that the writer may insert and those that the sealer may read", async () => {
    const granted = async (role: string, privilege: string): Promise<string[]> =>
      await column<string>(
        `SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.security_event_log'::regclass AND attnum > 0
          AND has_column_privilege('${role}', attrelid, attnum, '${privilege}') ORDER BY attname COLLATE "C"`,
      );
    const all = COLUMN_LIST.map(({ name }) => name);
    expect(await granted("seclog_writer", "INSERT")).toEqual([...all, SALT, "commitment", "retention"].sort());
    expect(await granted("seclog_sealer", "SELECT")).toEqual([...names("core"), ...STORED].sort());
  });

  it("has the columns that erasing checks, then blanks", async () => {
    const [source = ""] = await column<string>("SELECT prosrc FROM pg_proc WHERE proname = 'seclog_erase'");
    const [, blanked = ""] = /UPDATE public\.security_event_log AS log SET ([^%]+?)\s+WHERE/.exec(source) ?? [];
    expect(blanked.split(/,\s*/).sort()).toEqual([SALT, ...names("personal")].map((name) => `${name} = NULL`).sort());
    const [, checked = ""] = /num_nonnulls\(([^)]+)\)/.exec(source) ?? [];
    expect(checked.split(/,\s*/).sort()).toEqual([SALT, ...names("personal")].map((name) => `log.${name}`).sort());
  });

  it("has the columns whose size the table limits, above the recorder's own limits", async () => {
    const [checks = ""] = await column<string>(
      `SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint
        WHERE conrelid = 'public.security_event_log'::regclass AND conname LIKE 'security_event_log_%size'`,
    );
    for (const { name, kind, part, limit = 0 } of COLUMN_LIST) {
      if (kind === "json") expect(checks, name).toContain(`octet_length((${name})::text)`);
      if (kind !== "text") continue;
      if (part === "core") {
        expect(checks, name).toMatch(new RegExp(`concat\\([^)]*\\b${name}\\b`));
        continue;
      }
      const [, bound] = new RegExp(`octet_length\\(${name}\\) <= (\\d+)`).exec(checks) ?? [];
      // Three bytes for each UTF-16 unit, doubled in case each was escaped.
      expect(Number(bound), name).toBeGreaterThan(6 * limit);
    }
  });

  it("has the verifier's columns, in the order that it hashes them", () => {
    expect(EVENT_COLUMNS).toEqual([
      ...names("core"),
      "commitment",
      "created_at",
      "retention",
      SALT,
      ...names("personal"),
    ]);
  });

  it("has the encoder's members, in the same order", () => {
    const samples: { readonly [K in ColumnKind]: unknown } = {
      text: "x",
      word: "info",
      uuid: exampleEvent(1).id,
      time: exampleEvent(1).occurredAt,
      integer: 1,
      address: "::1",
      json: {},
    };
    const full = Object.fromEntries(COLUMN_LIST.map(({ member, kind }) => [member, samples[kind]]));
    const lines = encodeEvent({ ...exampleEvent(1), ...full }).split("\n");
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual([names("core"), names("personal")]);
  });
});

describe("the fields of @seclog/api", () => {
  it("read every column of events but the ends of a folded one, and no others", () => {
    const read = new Set(FIELDS.flatMap(({ columns }) => columns));
    const known = COLUMN_LIST.map(({ name }) => name).filter((name) => !["started_at", "ended_at"].includes(name));
    expect([...read].sort()).toEqual(known.sort());
    expect(known).toEqual(expect.arrayContaining([...TEXT_COLUMNS]));
    expect([QUERY_LEVELS, QUERY_OUTCOMES]).toEqual([LEVELS, OUTCOMES]);
  });

  it("compare as the columns' kinds require", () => {
    const kinds: { readonly [kind in ColumnKind]: readonly string[] } = {
      text: ["text", "name", "path", "person", "method", "host"],
      word: ["word"],
      uuid: ["uuid"],
      time: ["time"],
      integer: ["number", "status"],
      address: ["address"],
      json: ["json", "person"],
    };
    for (const { name, kind, columns } of FIELDS) {
      for (const column of columns) {
        const definition = COLUMN_LIST.find((each) => each.name === column);
        expect([name, kinds[definition?.kind ?? "text"].includes(kind)]).toEqual([name, true]);
      }
    }
  });
});
