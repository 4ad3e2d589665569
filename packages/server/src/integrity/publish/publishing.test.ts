import { setTimeout as sleep } from "node:timers/promises";
import { SeclogError } from "seclog";
import { describe, expect, it } from "vitest";
import type { SignedCheckpoint } from "../stored-tree.ts";
import type { PublishContext, Publisher } from "./publisher.ts";
import { Publishing } from "./publishing.ts";

const checkpoint = (size: number): SignedCheckpoint => ({
  origin: "log.example/shop",
  size,
  root: new Uint8Array(32),
  note: `${size}`,
});
const context: PublishContext = {
  tiles: async () => [],
  newestSize: async () => 0,
  cosign: async () => {},
};

/** A place that records each call and its time, and behaves as a test wants. */
function place(name: string, work: (size: number, signal: AbortSignal) => Promise<void> = async () => {}) {
  const given: { readonly size: number; readonly at: number }[] = [];
  let under = 0;
  let most = 0;
  const publisher: Publisher = {
    name,
    async publish({ size }, _context, signal) {
      given.push({ size, at: performance.now() });
      most = Math.max(most, ++under);
      try {
        await work(size, signal);
      } finally {
        under--;
      }
    },
  };
  return {
    publisher,
    sizes: () => given.map(({ size }) => size),
    times: () => given.map(({ at }) => at),
    most: () => most,
  };
}

const never = (): Promise<void> => new Promise(() => {});
const untilAborted = (_size: number, signal: AbortSignal): Promise<void> =>
  new Promise((_, failed) => signal.addEventListener("abort", () => failed(signal.reason)));

async function eventually(check: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !check(); i++) await sleep(10);
  expect(check()).toBe(true);
}

describe("Publishing", () => {
  it("publishes the first checkpoint at once, then the newest, at most every everyMs", async () => {
    const one = place("one");
    const publishing = new Publishing([one.publisher], { context, everyMs: 200, onFailure: () => {} });
    publishing.offer(checkpoint(1));
    await eventually(() => one.sizes().length === 1);
    for (let size = 2; size <= 30; size++) publishing.offer(checkpoint(size));
    await eventually(() => one.sizes().length === 2);
    expect(one.sizes()).toEqual([1, 30]);
    const [first = 0, second = 0] = one.times();
    expect(second - first).toBeGreaterThan(190);
    await publishing.flush(1000);
    expect(one.sizes()).toEqual([1, 30]);
    expect(publishing.status()).toMatchObject([{ name: "one", size: 30, error: undefined }]);
  });

  it("lets no place that hangs, ignores its signal, or throws delay the caller or another place", async () => {
    const hanging = place("hanging", never);
    const slow = place("slow", untilAborted);
    const bad = place("bad", () => {
      throw new Error("no such place");
    });
    const good = place("good");
    const failures: string[] = [];
    const publishing = new Publishing(
      [hanging, slow, bad, good].map(({ publisher }) => publisher),
      {
        context,
        everyMs: 20,
        timeoutMs: 60,
        onFailure: (name, error) => {
          failures.push(`${name} ${error.code}`);
          throw new Error("a callback that fails");
        },
        onSuccess: () => {
          throw new Error("a callback that fails");
        },
      },
    );
    let longest = 0;
    for (let size = 1; size <= 40; size++) {
      const begun = performance.now();
      publishing.offer(checkpoint(size));
      longest = Math.max(longest, performance.now() - begun);
      await sleep(10);
    }
    await eventually(() => good.sizes().at(-1) === 40);
    expect(longest).toBeLessThan(50);
    expect(hanging.sizes()).toHaveLength(1);
    expect([hanging, slow, bad, good].map((one) => one.most())).toEqual([1, 1, 1, 1]);
    expect(new Set(failures)).toEqual(new Set(["hanging SECLOG_PUBLISH", "slow SECLOG_PUBLISH", "bad SECLOG_PUBLISH"]));
    const begun = performance.now();
    await publishing.flush(150);
    expect(performance.now() - begun).toBeLessThan(1_000);
    const [state] = publishing.status();
    expect(state).toMatchObject({ name: "hanging", size: 0, at: undefined });
    expect(state?.error?.message).toBe("hanging: it took longer than 0.06 seconds");
  });

  it("waits longer after each failure, with jitter, and retries the newest", async () => {
    let fail = true;
    const one = place("one", async () => {
      if (fail) throw new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") });
    });
    const publishing = new Publishing([one.publisher], { context, everyMs: 10, onFailure: () => {}, random: () => 0 });
    publishing.offer(checkpoint(1));
    await eventually(() => one.sizes().length === 1);
    publishing.offer(checkpoint(2));
    await eventually(() => one.sizes().length === 3);
    fail = false;
    const [first = 0, second = 0, third = 0] = one.times();
    expect(second - first).toBeGreaterThan(490);
    expect(third - second).toBeGreaterThan(990);
    expect(one.sizes()).toEqual([1, 2, 2]);
    expect(publishing.status()[0]?.error?.message).toBe("one: fetch failed: ECONNREFUSED");
    await publishing.flush(1000);
    expect(one.sizes()).toEqual([1, 2, 2, 2]);
    expect(publishing.status()).toMatchObject([{ size: 2, error: undefined }]);
  });

  it("keeps the code of a rollback alarm", async () => {
    const one = place("one", async () => {
      throw new SeclogError("SECLOG_ROLLBACK", "rolled back");
    });
    const errors: SeclogError[] = [];
    const publishing = new Publishing([one.publisher], { context, onFailure: (_, error) => errors.push(error) });
    publishing.offer(checkpoint(1));
    await eventually(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: "SECLOG_ROLLBACK", message: "one: rolled back" });
    await publishing.flush(0);
  });

  it("publishes the waiting checkpoint once when it ends, and nothing afterwards", async () => {
    const one = place("one");
    const failing = place("failing", async () => {
      throw new Error("no");
    });
    const publishing = new Publishing([one.publisher, failing.publisher], { context, onFailure: () => {} });
    publishing.offer(checkpoint(1));
    await eventually(() => one.sizes().length === 1 && failing.sizes().length === 1);
    publishing.offer(checkpoint(2));
    publishing.offer(checkpoint(3));
    await publishing.flush(5_000);
    publishing.offer(checkpoint(4));
    await sleep(50);
    expect(one.sizes()).toEqual([1, 3]);
    expect(failing.sizes()).toEqual([1, 3]);
  });

  it("refuses two places with one name", () => {
    const { publisher } = place("one");
    expect(() => new Publishing([publisher, publisher], { context, onFailure: () => {} })).toThrow("named twice");
  });
});
