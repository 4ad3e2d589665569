import { describe, expect, it } from "vitest";
import { InputError } from "./input-error.ts";

describe("InputError", () => {
  const error = new InputError((named) => `${named("key")} and ${named("keyCommand")} are both set`);

  it("names inputs as the rooms do", () => {
    expect(error).toMatchObject({ code: "SECLOG_CONFIG", message: "key and keyCommand are both set" });
  });

  it("is worded with the names that its caller's users know", () => {
    expect(error.worded((input) => `"/${input}"`)).toBe('"/key" and "/keyCommand" are both set');
  });

  it("has another code and a cause if given", () => {
    const cause = new Error("EACCES");
    const other = new InputError((named) => `${named("listen")}: EACCES`, { code: "SECLOG_DATABASE", cause });
    expect(other).toMatchObject({ code: "SECLOG_DATABASE", message: "listen: EACCES", cause });
  });
});
