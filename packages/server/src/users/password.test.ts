import { describe, expect, it } from "vitest";
import { Busy, checkPassword, Passwords } from "./password.ts";

const WORK = { cost: 12, passes: 1 };

describe("Passwords", () => {
  it("recognises a password by its verifier, however it was composed, and no other", async () => {
    const passwords = new Passwords(WORK);
    const verifier = await passwords.verifier("caf\u00e9 with more milk");
    expect(verifier).toMatch(/^scrypt\$12\$1\$/);
    expect(await passwords.matches("cafe\u0301 with more milk", verifier)).toBe(true);
    expect(await passwords.matches("cafe with more milk", verifier)).toBe(false);
    expect(await passwords.matches("", undefined)).toBe(false);
    // Of a row that another program wrote.
    for (const odd of ["", "scrypt$30$1$x$y", verifier.replace("$12$", "$31$")])
      expect(await passwords.matches("x", odd)).toBe(false);
  });

  it("runs a few at a time, refuses when too many wait, and comes back", async () => {
    const passwords = new Passwords(WORK);
    const attempts = await Promise.allSettled(Array.from({ length: 40 }, () => passwords.matches("x", undefined)));
    const refused = attempts.filter((attempt) => attempt.status === "rejected");
    expect(refused).toHaveLength(18);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(Busy);
    expect(await passwords.matches("x", undefined)).toBe(false);
  });
});

it.each([
  ["eleven char", /fewer than 12/],
  ["x".repeat(1_025), /more than 1024 bytes/],
  ["alexandria12", /the user's name/],
])("checkPassword() - refuses %.20s", (password, why) => {
  expect(() => checkPassword(password, "alexandria")).toThrow(why);
});
