import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { unreadable, untouchable } from "#test/support/odd-errors.ts";
import { failureOf } from "./failure.ts";
import { HandlerError } from "./handler.ts";

/** A failure as another copy of the package throws it: a HandlerError's members on another class. */
function foreign(members: object): unknown {
  return Object.assign(new Error("refused"), members);
}

describe("failureOf()", () => {
  it("returns a HandlerError as it is", () => {
    const failure = new HandlerError("event", "refused");
    expect(failureOf(failure)).toBe(failure);
  });

  it.each([
    [{ kind: "event" }, "event", "SECLOG_EVENT_REJECTED"],
    [{ kind: "destination" }, "destination", "SECLOG_HANDLER_STOPPED"],
    [{ kind: "destination", code: "SECLOG_STORE_BEHIND" }, "destination", "SECLOG_STORE_BEHIND"],
    [{ kind: "destination", code: "EACCES" }, "destination", "SECLOG_HANDLER_STOPPED"],
    [{ kind: "toString", code: "SECLOG_STORE_BEHIND" }, "retry", "SECLOG_HANDLER_RETRY"],
    [{ code: "ECONNRESET" }, "retry", "SECLOG_HANDLER_RETRY"],
  ])("recognises the failure %o of another copy by its members", (members, kind, code) => {
    expect(failureOf(foreign(members))).toMatchObject({ kind, code, message: "refused" });
  });

  it("keeps the number up to which a source is stored", () => {
    const members = { kind: "destination", code: "SECLOG_SOURCE_SEIZED", stored: 7 };
    expect(failureOf(foreign(members))).toMatchObject(members);
  });

  it("recognises an error of another realm, and survives any other thrown value", () => {
    const thrown: unknown = runInNewContext(`Object.assign(new Error("refused"), { kind: "event" })`);
    expect(failureOf(thrown)).toMatchObject({ kind: "event" });
    for (const odd of [undefined, null, "event", 7, { kind: "event" }, untouchable]) {
      expect(failureOf(odd)).toMatchObject({ kind: "retry", message: expect.stringMatching(/./) });
    }
  });

  it("supplies a message for a failure without a readable one, and keeps its kind", () => {
    expect(failureOf(new HandlerError("event", ""))).toMatchObject({
      kind: "event",
      message: "SECLOG_EVENT_REJECTED",
    });
    expect(failureOf(unreadable({ kind: "destination" }))).toMatchObject({
      kind: "destination",
      message: "a failure whose message cannot be read",
    });
  });
});
