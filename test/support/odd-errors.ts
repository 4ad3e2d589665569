/** Errors that throw when they are examined. */
const refuse = (): never => {
  throw new Error("do not touch");
};

/** An error with these members whose message cannot be read. */
export function unreadable(members: object): Error {
  return Object.defineProperty(Object.assign(new Error("unread"), members), "message", { get: refuse });
}

/** An object that allows no operation, not even `instanceof`. */
export const untouchable: object = new Proxy(
  {},
  { get: refuse, getPrototypeOf: refuse, has: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse },
);
