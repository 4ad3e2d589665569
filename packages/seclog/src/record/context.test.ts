import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { currentContext, currentRequest, runWithRequest, setActor } from "./context.ts";

it("currentRequest() - is undefined outside any request, where setActor() does nothing", () => {
  expect(currentRequest()).toBeUndefined();
  expect(currentContext()).toBeUndefined();
  setActor("u1");
  expect(currentContext()).toBeUndefined();
});

it("runWithRequest() - keeps concurrent requests apart, across awaits", async () => {
  const seen = await Promise.all(
    [{ url: "/1" }, { url: "/2" }].map((request) =>
      runWithRequest(request, async () => {
        await setImmediate();
        setActor({ id: request.url, type: "user" });
        await setImmediate();
        expect(currentRequest()).toBe(request);
        return currentContext()?.actor;
      }),
    ),
  );
  expect(seen).toEqual([
    { id: "/1", type: "user" },
    { id: "/2", type: "user" },
  ]);
  expect(currentRequest()).toBeUndefined();
});

it("runWithRequest() - returns what the function returns, and throws what it throws", () => {
  expect(runWithRequest({}, () => 5)).toBe(5);
  expect(() =>
    runWithRequest({}, () => {
      throw new Error("boom");
    }),
  ).toThrow("boom");
  expect(currentContext()).toBeUndefined();
});

it("runWithRequest() - makes the inner request of two nested ones current", () => {
  const [outer, inner] = [{ url: "/outer" }, { url: "/inner" }];
  runWithRequest(outer, () => {
    expect(runWithRequest(inner, currentRequest)).toBe(inner);
    expect(currentRequest()).toBe(outer);
  });
});
