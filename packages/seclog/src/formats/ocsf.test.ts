/** Every event of the catalogue, with data that a stranger chose, against the schemas of OCSF. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { BARE_EVENT, FULL_EVENT, hostileEvents } from "#test/support/hostile-events.ts";
import { root } from "../../../../scripts/files.js";
import { CATALOGUE } from "../event/catalogue.ts";
import type { SecurityEvent } from "../event/event.ts";
import { ocsfEvent } from "./ocsf.ts";

/** The official JSON Schemas of the classes, beside the repository: they are not part of it. */
const SCHEMAS = ["../shared/ocsf/1.8.0", "../../shared/ocsf/1.8.0"]
  .map((path) => join(root, path))
  .find((path) => existsSync(path));

type Schema = {
  properties: { [name: string]: { enum?: readonly number[]; type?: string; items?: unknown; $ref?: string } };
  required: string[];
};

function validators(): ReadonlyMap<number, ValidateFunction> {
  const found = new Map<number, ValidateFunction>();
  const compile = (schema: Schema): void => {
    const [uid = 0] = schema.properties["class_uid"]?.enum ?? [];
    found.set(uid, new Ajv2020({ strict: false, allErrors: true }).compile(schema));
  };
  for (const file of readdirSync(SCHEMAS ?? "")) {
    const schema = JSON.parse(readFileSync(join(SCHEMAS ?? "", file), "utf8")) as Schema;
    compile(schema);
    if (file === "application_lifecycle.json") compile(eventLogActivity(structuredClone(schema)));
  }
  return found;
}

/** Event Log Activity, which is not among those files: another class's, with what events/system/event_log_activity.json adds. */
function eventLogActivity(schema: Schema): Schema {
  const activities = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99];
  const { app: _, ...properties } = schema.properties;
  Object.assign(properties, {
    class_uid: { type: "integer", enum: [1008] },
    category_uid: { type: "integer", enum: [1] },
    activity_id: { type: "integer", enum: activities },
    type_uid: { type: "integer", enum: activities.map((one) => 100_800 + one) },
    log_name: { type: "string" },
    log_provider: { type: "string" },
    src_endpoint: { type: "object", properties: { ip: { type: "string" } } },
  });
  return { ...schema, properties, required: [...schema.required.filter((one) => one !== "app"), "log_name"] };
}

if (SCHEMAS === undefined) console.log("SKIPPED: OCSF's schemas are not beside the repository (../shared/ocsf/1.8.0)");

describe("ocsfEvent()", () => {
  it.skipIf(SCHEMAS === undefined)("is valid OCSF 1.8.0 for every type of the catalogue and any data", async () => {
    const known = validators();
    const events = [FULL_EVENT, BARE_EVENT, ...(await hostileEvents())];
    const types = new Set<string>();
    const wrong = new Set<string>();
    for (const event of events) {
      const written = JSON.parse(JSON.stringify(ocsfEvent(event))) as { class_uid: number };
      const validate = known.get(written.class_uid);
      if (validate === undefined) wrong.add(`${event.type}: no schema of ${written.class_uid}`);
      else if (!validate(written)) {
        for (const { instancePath, message } of validate.errors ?? [])
          wrong.add(`${event.type} ${instancePath} ${message}`);
      }
      types.add(event.type);
    }
    expect([...wrong]).toEqual([]);
    expect(Object.keys(CATALOGUE).filter((type) => !types.has(type))).toEqual([]);
    console.log(`${events.length} events of ${types.size} types are valid OCSF 1.8.0`);
  });

  it("writes the classes of 1.9 where that version is asked for", () => {
    const event: SecurityEvent = { ...BARE_EVENT, type: "user_created", category: "user" };
    expect(ocsfEvent(event)).toMatchObject({ class_uid: 3001, type_uid: 300_101, metadata: { version: "1.8.0" } });
    expect(ocsfEvent(event, { version: "1.9.0" })).toMatchObject({
      class_uid: 3007,
      type_uid: 300_701,
      metadata: { version: "1.9.0" },
    });
  });

  it("attests a sealed event in 1.9 only, by a fingerprint of everything else", () => {
    const sealed = { origin: "example.org/log", index: 41 };
    const written = ocsfEvent(FULL_EVENT, { version: "1.9.0", sealed });
    expect(written).toMatchObject({
      metadata: { profiles: ["datetime", "host", "security_control", "record_integrity"] },
      attestation_list: [
        { uid: "41", chain_uid: "example.org/log", fingerprint: { algorithm_id: 3, serialization_id: 2 } },
      ],
    });
    const other = ocsfEvent({ ...FULL_EVENT, statusCode: 200 }, { version: "1.9.0", sealed });
    const value = (event: object) =>
      (event as { attestation_list: { fingerprint: { value: string } }[] }).attestation_list[0]?.fingerprint.value;
    expect(value(written)).toMatch(/^[0-9a-f]{64}$/);
    expect(value(other)).not.toBe(value(written));
    const old = ocsfEvent(FULL_EVENT, { sealed });
    expect(old).not.toHaveProperty("attestation_list");
    expect(old).toMatchObject({ unmapped: { leaf: { origin: "example.org/log", index: 41 } } });
  });

  it("leaves an address that OCSF's pattern refuses among what has no attribute", () => {
    const written = ocsfEvent({ ...BARE_EVENT, type: "malicious_csrf", method: "GET", ipAddress: "10.0.0.0/8" });
    expect(written).toMatchObject({ class_uid: 4002, unmapped: { ip_address: "10.0.0.0/8" } });
    expect(written).not.toHaveProperty("src_endpoint");
  });

  it("keeps the type, the id and everything without an attribute", () => {
    expect(ocsfEvent(FULL_EVENT)).toMatchObject({
      metadata: { uid: FULL_EVENT.id, event_code: "malicious_sqli", sequence: 7 },
      unmapped: { source_id: FULL_EVENT.sourceId, route: FULL_EVENT.route, data: FULL_EVENT.data },
      evidences: [{ src_endpoint: { ip: "2001:db8::9" }, http_request: { http_method: "BREW" } }],
    });
  });
});
