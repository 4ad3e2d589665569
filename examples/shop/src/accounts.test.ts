import { describe, expect, it } from "vitest";
import { type Account, checkPassword, hashPassword, Sessions } from "./accounts.ts";

describe("accounts", () => {
  it("accept only the right password, and none without an account", async () => {
    const account: Account = {
      id: "ada",
      name: "Ada",
      role: "customer",
      password: await hashPassword("correct horse"),
    };
    expect(await checkPassword(account, "correct horse")).toBe(true);
    expect(await checkPassword(account, "correct horsf")).toBe(false);
    expect(await checkPassword(undefined, "correct horse")).toBe(false);
  });

  it("forget a session once it ends, and find none by an unknown id", async () => {
    const account: Account = { id: "ada", name: "Ada", role: "customer", password: "" };
    const sessions = new Sessions();
    const id = sessions.start(account);
    expect(sessions.find(id)).toBe(account);
    expect(sessions.find(`${id.slice(1)}x`)).toBeUndefined();
    sessions.end(id);
    expect(sessions.find(id)).toBeUndefined();
  });
});
