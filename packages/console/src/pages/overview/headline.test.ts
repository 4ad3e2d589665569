import { describe, expect, it } from "vitest";
import { headlineOf } from "./headline.ts";

const total = { name: "", now: 1_000, before: 800 };

describe("headlineOf()", () => {
  it("names the type that rose by most events, and how many times", () => {
    const types = [
      { name: "session_created", now: 500, before: 480 },
      { name: "authn_login_fail", now: 300, before: 60 },
      { name: "malicious_csrf", now: 40, before: 2 },
    ];
    expect(headlineOf(types, total, "the 24 h before")).toEqual({
      text: "Failed sign-ins are 5 times the 24 h before.",
      type: "authn_login_fail",
    });
  });

  it("says that a type is new, and that nothing stands out", () => {
    expect(headlineOf([{ name: "authz_fail", now: 20, before: 0 }], total, "the hour before").text).toBe(
      "Refused accesses are new: 20 events, and none in the hour before.",
    );
    expect(headlineOf([{ name: "authz_fail", now: 19, before: 0 }], total, "the hour before").text).toBe(
      "Nothing stands out: 1,000 events, 25 % more than in the hour before.",
    );
    const types = [{ name: "session_created", now: 1_000, before: 0 }];
    expect(headlineOf(types, { name: "", now: 1_000, before: 0 }, "the hour before")).toEqual({
      text: "1,000 events; the log has none of the hour before to compare with.",
      type: undefined,
    });
    expect(headlineOf([], { name: "", now: 0, before: 1 }, "the hour before").text).toBe(
      "No event, after 1 event in the hour before.",
    );
  });
});
