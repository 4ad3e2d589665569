import { expect, it } from "vitest";
import { toHandlerError } from "./failure.ts";
import { checkSchemaVersion } from "./schema-version.ts";

const thrownBy = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    return error;
  }
};

it.each([
  ["SECLOG_SCHEMA_MISSING", []],
  ["SECLOG_SCHEMA_OLDER", [{ id: 1, breaking: false }]],
  ["SECLOG_SCHEMA_NEWER", [1, 2, 3].map((id) => ({ id, breaking: id === 3 }))],
])("toHandlerError() - stops for %s, which waiting does not fix, and keeps its code", (code, applied) => {
  const thrown = thrownBy(() => checkSchemaVersion([{ id: 1 }, { id: 2 }], applied));
  expect(toHandlerError(thrown, { variable: "SECLOG_DATABASE_URL", role: "writer" })).toMatchObject({
    kind: "destination",
    code,
  });
});
