import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import type { EventInput, EventType } from "../record/facts.ts";
import { CATALOGUE, type DataOf } from "./catalogue.ts";
import { defineEvents } from "./define-events.ts";
import { dataIssues, type EventDefinition } from "./definition.ts";

describe("defineEvents()", () => {
  it("fills in the defaults", () => {
    expect(defineEvents({ a: {} }).a).toEqual({
      level: "warning",
      category: "custom",
      outcome: "unknown",
      durability: "disk",
      description: "a",
    });
  });

  it.each([
    ["a name with spaces", { "Not a name": {} }, 'events["Not a name"]'],
    ["an empty name", { "": {} }, 'events[""]'],
    ["a type of the catalogue", { authz_fail: {} }, "authz_fail"],
    ["an alias of the catalogue", { permissions_changed: {} }, "permissions_changed"],
    ["an unknown key", { a: { severity: 1 } }, 'events["a"].severity'],
    ["an unknown level", { a: { level: "warn" } }, 'events["a"].level'],
    ["an unknown outcome", { a: { outcome: "denied" } }, 'events["a"].outcome'],
    ["an unknown durability", { a: { durability: "memory" } }, 'events["a"].durability'],
    ["a category with spaces", { a: { category: "my group" } }, 'events["a"].category'],
    ["a schema that is none", { a: { schema: {} } }, 'events["a"].schema'],
    ["no object", { a: null }, 'events["a"]'],
  ])("refuses %s, naming the key", (_, options, key) => {
    expect(() => defineEvents(options as Parameters<typeof defineEvents>[0])).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining(key) }),
    );
  });

  it("accepts a schema of Zod, which types the data and checks them", () => {
    const events = defineEvents({
      refund_refused: { schema: z.object({ orderId: z.string(), cents: z.number().optional() }) },
      plain: { level: "info" },
    });
    type Input = EventInput<"refund_refused", typeof events>;
    expectTypeOf<DataOf<"refund_refused", typeof events>>().toEqualTypeOf<{
      orderId: string;
      cents?: number | undefined;
    }>();
    expectTypeOf<"plain" | "refund_refused" | "authz_fail">().toExtend<EventType<typeof events>>();
    expectTypeOf<"no_such_event">().not.toExtend<EventType<typeof events>>();
    const good: Input = { orderId: "o-1", statusCode: 402 };
    // @ts-expect-error the test: the schema requires an orderId
    const missing: Input = { cents: 1 };
    // @ts-expect-error the test: the schema requires a number
    const wrong: Input = { orderId: "o-1", cents: "1" };

    expect(dataIssues(events.refund_refused, good)).toEqual([]);
    expect(dataIssues(events.refund_refused, missing)[0]).toContain("data.orderId: ");
    expect(dataIssues(events.refund_refused, wrong)[0]).toContain("data.cents: ");
    expect(dataIssues(events.plain, 5)).toEqual([]);
  });
});

describe("dataIssues()", () => {
  const schema = (validate: (value: unknown) => never) =>
    ({ ...CATALOGUE.authz_fail, schema: { "~standard": { version: 1, vendor: "test", validate } } }) as EventDefinition;

  it("never throws, and reports a schema that does or is asynchronous", () => {
    expect(
      dataIssues(
        schema(() => {
          throw new Error("boom");
        }),
        {},
      ),
    ).toEqual(["the schema threw: boom"]);
    expect(dataIssues(schema((() => Promise.reject(new Error("late"))) as () => never), {})).toEqual([
      "the schema is asynchronous and was not applied",
    ]);
  });
});
