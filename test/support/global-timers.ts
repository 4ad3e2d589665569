/**
 * A stand-in for `runtime/timers.ts` that follows the globals, so that a test that replaces those controls the library's
 * clock. A test file uses it by
 *
 *     vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));
 */
type Timers = typeof import("../../packages/seclog/src/runtime/timers.ts");

const globals: {
  readonly [Name in keyof Timers & keyof typeof globalThis]: (...args: never[]) => unknown;
} = globalThis;

/** Calls whatever has the name at that moment. */
function following<Name extends keyof typeof globals>(name: Name): (...args: never[]) => unknown {
  return (...args) => globals[name](...args);
}

export const setTimeout = following("setTimeout");
export const setInterval = following("setInterval");
export const setImmediate = following("setImmediate");
export const clearTimeout = following("clearTimeout");
export const clearInterval = following("clearInterval");
export const queueMicrotask = following("queueMicrotask");

export const nextTick: Timers["nextTick"] = (callback, ...args) => process.nextTick(callback, ...args);
export const nextTurn = (): Promise<void> => new Promise((resolve) => globalThis.setImmediate(resolve));
export const sleep = (
  milliseconds: number,
  value: unknown,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const timer = globalThis.setTimeout(resolve, milliseconds, value);
    signal?.addEventListener("abort", () => {
      globalThis.clearTimeout(timer);
      reject(signal.reason);
    });
  });
export const monotonicNow: Timers["monotonicNow"] = () => performance.now();
export const wallNow: Timers["wallNow"] = () => Date.now();
