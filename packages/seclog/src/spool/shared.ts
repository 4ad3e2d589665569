import type { SeclogError } from "../event/errors.ts";

/** A promise that many wait for. */
export class Shared {
  readonly promise: Promise<void>;
  resolve: () => void = () => {};
  reject: (error: SeclogError) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Those who read the promise get the rejection; when nobody does, it must not end the process.
    this.promise.catch(() => {});
  }
}
