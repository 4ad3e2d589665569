/** The parent's side of lives-app.js. */

/** Lets file system calls fail in both threads of an application. */
const PRELOAD = new URL("./preloads/inject.js", import.meta.url).href;

/** An application that opens many logs. Its answers reject when it has died. */
export class Lives {
  #app;
  #asked = new Map();
  #last = 0;

  /** @param how as World.startApp's */
  static async start(world, { execArgv = ["--import", PRELOAD], ...how } = {}) {
    const lives = new Lives();
    lives.#app = await world.startApp({}, { ...how, execArgv, program: "lives-app.js" });
    lives.#app.child.on("message", ({ id, result, thrown }) => {
      const asked = lives.#asked.get(id);
      lives.#asked.delete(id);
      if (thrown === undefined) asked?.resolve(result);
      else asked?.reject(new Error(thrown));
    });
    void lives.#app.exited.then((code) => {
      for (const { reject } of lives.#asked.values()) reject(new Error(`it ended (${code}): ${lives.#app.errors}`));
    });
    return lives;
  }

  /** Runs a command of lives-app.js. */
  ask(name, options, deadline = 90_000) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      if (this.#app.ended) throw new Error(`it had ended: ${this.#app.errors}`);
      const timer = setTimeout(() => reject(new Error(`${name} did not answer within ${deadline} ms`)), deadline);
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      this.#asked.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#app.child.send({ id, name, options });
    });
  }

  /** Kills it, unless it is dead already, and says how it ended. */
  async end() {
    return this.#app.ended ? await this.#app.exited : await this.#app.kill();
  }

  /** The same for one that runs below another program, which must not be killed: it ends when nobody talks to it. */
  async leave() {
    if (!this.#app.ended) this.#app.child.disconnect();
    return await this.#app.exited;
  }
}
