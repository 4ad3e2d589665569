import { connect } from "node:net";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { errorMessage } from "./errors.ts";

describe("errorMessage()", () => {
  test("says which addresses of localhost refused", async () => {
    const refused = await new Promise((resolve) => {
      connect({ host: "localhost", port: 1, autoSelectFamily: true }).once("error", resolve);
    });
    expect(errorMessage(refused)).toMatch(/ECONNREFUSED .*:1\b/);
    const both = [new Error("connect ECONNREFUSED ::1:5432"), new Error("connect ECONNREFUSED 127.0.0.1:5432")];
    expect(errorMessage(new AggregateError(both))).toBe(
      "connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432",
    );
  });

  const itself = new Error("");
  itself.cause = itself;
  test.each([
    ["a message", new Error("no such table"), "no such table"],
    ["only a code", Object.assign(new Error(""), { code: "ECONNRESET" }), "ECONNRESET"],
    [
      "the parts of a refused connection",
      Object.assign(new Error(""), { syscall: "connect", code: "ECONNREFUSED", address: "::1", port: 5432 }),
      "connect ECONNREFUSED ::1:5432",
    ],
    [
      "the parts of a failed lookup",
      Object.assign(new Error(""), { syscall: "getaddrinfo", code: "ENOTFOUND", hostname: "db.internal" }),
      "getaddrinfo ENOTFOUND db.internal",
    ],
    ["a cause", new Error("", { cause: new Error("certificate has expired") }), "certificate has expired"],
    ["an AggregateError in a cause", new Error("", { cause: new AggregateError([new Error("a")]) }), "a"],
    ["an AggregateError without errors", Object.assign(new AggregateError([]), { code: "ETIMEDOUT" }), "ETIMEDOUT"],
    ["nothing but its class", new TypeError(""), "TypeError"],
    ["itself as the cause", itself, "Error"],
    ["a string", "broken", "broken"],
    ["an empty string", "", "a value that says nothing was thrown"],
    ["undefined", undefined, "undefined"],
    ["an error of another realm", runInNewContext("new Error('from a vm')"), "from a vm"],
    ["an object without a prototype", Object.create(null), "a value that cannot be printed was thrown"],
  ])("of %s", (_, thrown, message) => {
    expect(errorMessage(thrown)).toBe(message);
  });
});
