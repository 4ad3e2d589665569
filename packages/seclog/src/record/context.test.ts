import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { currentContext, currentRequest, runWithRequest, setActor } from "./context.ts";

test("currentRequest() - is undefined outside of any request, and setActor() does nothing there", () => {
  expect(currentRequest()).toBeUndefined();
  expect(currentContext()).toBeUndefined();
  setActor("u1");
  expect(currentContext()).toBeUndefined();
});

test("runWithRequest() - keeps concurrent requests apart, over awaits", async () => {
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

test("runWithRequest() - gives back what the function returns or throws", () => {
  expect(runWithRequest({}, () => 5)).toBe(5);
  expect(() =>
    runWithRequest({}, () => {
      throw new Error("boom");
    }),
  ).toThrow("boom");
  expect(currentContext()).toBeUndefined();
});

test("runWithRequest() - a request within a request is the inner one", () => {
  const [outer, inner] = [{ url: "/outer" }, { url: "/inner" }];
  runWithRequest(outer, () => {
    expect(runWithRequest(inner, currentRequest)).toBe(inner);
    expect(currentRequest()).toBe(outer);
  });
});
