/** The parent's side of lives-app.js. */

/** Makes file system calls fail in both threads of an application. */
const PRELOAD = new URL("./preloads/inject.js", import.meta.url).href;

/** An application that opens many logs. Pending calls reject when it dies. */
export class Lives {
  #app;
  #pending = new Map();
  #last = 0;

  /** @param how as for World.startApp */
  static async start(world, { execArgv = ["--import", PRELOAD], ...how } = {}) {
    const lives = new Lives();
    lives.#app = await world.startApp({}, { ...how, execArgv, program: "lives-app.js" });
    lives.#app.child.on("message", ({ id, result, thrown }) => {
      const waiting = lives.#pending.get(id);
      lives.#pending.delete(id);
      if (thrown === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(thrown));
    });
    void lives.#app.exited.then((code) => {
      for (const { reject } of lives.#pending.values()) reject(new Error(`it ended (${code}): ${lives.#app.errors}`));
    });
    return lives;
  }

  /** Runs a command of lives-app.js. */
  call(name, options, deadline = 90_000) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      if (this.#app.ended) throw new Error(`it had ended: ${this.#app.errors}`);
      const timer = setTimeout(() => reject(new Error(`${name} did not answer within ${deadline} ms`)), deadline);
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      this.#pending.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#app.child.send({ id, name, options });
    });
  }

  /** Kills it, unless it is dead already, and returns its exit code or signal. */
  async end() {
    return this.#app.ended ? await this.#app.exited : await this.#app.kill();
  }

  /** The same for an application under another program, which must not be killed: disconnecting makes it exit. */
  async leave() {
    if (!this.#app.ended) this.#app.child.disconnect();
    return await this.#app.exited;
  }
}
