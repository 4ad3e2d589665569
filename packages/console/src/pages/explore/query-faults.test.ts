import { parseQuery } from "@seclog/api";
import { expect, it } from "vitest";
import { faultOf } from "./query-faults.ts";

it("faultOf() - finds nothing wrong with a query that can be read", () => {
  expect(faultOf('level>=warning "free text"')).toBeUndefined();
  expect(faultOf("")).toBeUndefined();
});

it("faultOf() - points at the fault, and offers the nearest field and the text", () => {
  const fault = faultOf("level>=warning servic:shop");
  expect(fault?.at).toBe(15);
  expect(fault?.meant).toBe("level>=warning service:shop");
  expect(fault?.asText).toBe('level>=warning "servic:shop"');
});

it("faultOf() - offers ways out that can be read, whatever is wrong", () => {
  for (const query of ["(", "a)", "level:", 'ip:"x', "status:abc level:nope", "-", "or", "ip:1.2.3.4.5", '"a\\']) {
    const fault = faultOf(query);
    if (fault === undefined) continue;
    expect(() => parseQuery(fault.asText)).not.toThrow();
    if (fault.meant !== undefined) expect(() => parseQuery(fault.meant ?? "")).not.toThrow();
  }
});
