import { describe, expect, it } from "vitest";
import { readJsonEvents } from "./json-events.ts";

const one = (text: string) => readJsonEvents(Buffer.from(text), true)[0];

describe("readJsonEvents()", () => {
  it.each([
    ['{"event_type":"authz_fail","event_type":"sys_restart"}', "stands twice"],
    ['{"event_type":"authz_fail","data":{"a":1,"\\u0061":2}}', "stands twice"],
    ['{"event_type":"authz_fail","data":[{"b":{}},{"c":1,"c":1}]}', "stands twice"],
    ["{", "not JSON"],
    ["[1]", "a JSON object"],
    ["null", "a JSON object"],
    ['{"event_type":7}', "event_type is missing"],
    [`{"event_type":"authz_fail","data":${"[".repeat(300)}${"]".repeat(300)}}`, "nested deeper"],
    [`{"event_type":"authz_fail","data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "nested deeper"],
  ])("refuses %s", (text, message) => {
    expect(one(text)).toMatchObject({ code: "malformed", message: expect.stringContaining(message) as string });
  });

  it.each([
    '{"event_type":"authz_fail","data":{"a":"\\"b\\":","c":"d\\\\"}}',
    '{ "event_type" : "authz_fail" , "data" : { "x" : "{\\"x\\":1}" , "y" : "x" } }',
    '{"event_type":"authz_fail","data":{"__proto__":{"a":1},"constructor":2}}',
  ])("takes %s", (text) => {
    expect(one(text)).toMatchObject({ type: "authz_fail" });
  });

  it("keeps __proto__ as data", () => {
    const event = one('{"event_type":"authz_fail","__proto__":{"polluted":1}}') as { data: object };
    expect(Object.hasOwn(event.data, "__proto__")).toBe(true);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it.each([[0xff], [0xed, 0xa0, 0x80]])("refuses bytes that are not UTF-8", (...bytes) => {
    const body = Buffer.concat([Buffer.from('{"event_type":"'), Buffer.from(bytes), Buffer.from('"}')]);
    expect(() => readJsonEvents(body, false)).toThrow("UTF-8");
  });
});
