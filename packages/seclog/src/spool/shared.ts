import type { SeclogError } from "../event/errors.ts";

/** A promise with many waiters. */
export class Shared {
  readonly promise: Promise<void>;
  resolve: () => void = () => {};
  reject: (error: SeclogError) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Waiters get the rejection; without any it must not end the process.
    this.promise.catch(() => {});
  }
}
