/** Errors that throw when they are looked at. */
const refuse = (): never => {
  throw new Error("do not touch");
};

/** An error with these members, of which the message cannot be read. */
export function unreadable(members: object): Error {
  return Object.defineProperty(Object.assign(new Error("unread"), members), "message", { get: refuse });
}

/** Nothing can be asked of it, not even of what class it is. */
export const untouchable: object = new Proxy(
  {},
  { get: refuse, getPrototypeOf: refuse, has: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse },
);
