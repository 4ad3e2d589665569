import { describe, expect, it } from "vitest";
import { hasValue, leavesOut, withoutValue, withValue } from "./query-terms.ts";

describe("withValue()", () => {
  it("adds a value, and takes it away the second time", () => {
    const query = withValue("path:/login", "ip", "203.0.113.57");
    expect(query).toBe("path:/login ip:203.0.113.57");
    expect(withValue(query, "ip", "203.0.113.57")).toBe("path:/login");
  });

  it("keeps only the value of a list that has it", () => {
    expect(withValue("level>=warning", "level", "critical")).toBe("level:critical");
  });

  it("replaces the exclusion of the value", () => {
    expect(withValue("-type:authz_fail status:403", "type", "authz_fail")).toBe("status:403 type:authz_fail");
  });

  it("keeps alternatives together", () => {
    expect(withValue("level:error or level:critical", "actor", "u 1")).toBe(
      '(level:error or level:critical) actor:"u 1"',
    );
  });

  it("quotes what would be read as a pattern or a word of the language", () => {
    for (const value of ["*", "or", 'a"b\\c,d (e)', "-x", "a:b"]) {
      expect(hasValue(withValue("level:info", "actor", value), "actor", value)).toBe(true);
    }
  });
});

describe("withoutValue()", () => {
  it("takes the value out of a list", () => {
    expect(withoutValue("level>=warning", "level", "warning")).toBe("level>=error");
  });

  it("excludes a value, and takes the exclusion away the second time", () => {
    const query = withoutValue("", "path", "/a*");
    expect(leavesOut(query, "path", "/a*")).toBe(true);
    expect(withoutValue(query, "path", "/a*")).toBe("");
  });
});

describe("hasValue()", () => {
  it("sees a value in a list and in a comparison of levels, but not in an alternative", () => {
    expect(hasValue("type:a_b,c_d", "type", "c_d")).toBe(true);
    expect(hasValue("level>=warning", "level", "critical")).toBe(true);
    expect(hasValue("type:a or type:b", "type", "a")).toBe(false);
  });
});
