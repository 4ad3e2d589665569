import { connect } from "node:net";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { unreadable, untouchable } from "#test/support/odd-errors.ts";
import { errorMessage } from "./errors.ts";

describe("errorMessage()", () => {
  it("says which addresses of localhost refused", async () => {
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
  it.each([
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
    ["nothing but its class", new TypeError(""), "a failure without a message (TypeError)"],
    ["itself as the cause", itself, "a failure without a message (Error)"],
    ["a string", "broken", "broken"],
    ["an empty string", "", 'a failure without a message ("")'],
    ["undefined", undefined, "a failure without a message (undefined)"],
    ["null", null, "a failure without a message (null)"],
    ["a number", 7, "a failure without a message (7)"],
    ["a symbol", Symbol("late"), "a failure without a message (Symbol(late))"],
    ["a function", () => "secret", "a failure without a message (a function)"],
    ["an object", { status: 503, token: "secret" }, "a failure without a message (an object with status, token)"],
    ["an object without members", {}, "a failure without a message (an object)"],
    ["a message that is not text", { message: undefined }, "a failure without a message (an object with message)"],
    ["a cause that says nothing", new Error("", { cause: null }), "a failure without a message (Error)"],
    ["a message that throws", unreadable({}), "a failure whose message cannot be read"],
    ["what throws at every touch", untouchable, "a failure whose message cannot be read"],
    ["an error of another realm", runInNewContext("new Error('from a vm')"), "from a vm"],
    ["an object without a prototype", Object.create(null), "a failure without a message (an object)"],
  ])("of %s", (_, thrown, message) => {
    expect(errorMessage(thrown)).toBe(message);
  });
});
