import { describe, expect, it } from "vitest";
import { newKey } from "#test/support/naive-sealer.ts";
import { InputError, readVkey, type Vkey } from "./note.ts";
import { verifyProof } from "./proof.ts";
import type { RawLog } from "./raw-log.ts";
import { verifyLog } from "./verify-log.ts";

const key = (...args: Parameters<typeof newKey>): Vkey => readVkey(newKey(...args).vkey);
const log = key("log.example");
const witness = key("w.example", "cosignature");
/** Reading it would mean that the keys were accepted. */
const unread: RawLog = {
  // biome-ignore lint/correctness/useYield: it throws before it yields
  async *read() {
    throw new Error("the log was read");
  },
};

describe("the keys of a verification", () => {
  it.each<[what: string, keys: readonly Vkey[], says: RegExp]>([
    ["none at all", [], /no key of the log/],
    ["one key twice", [log, log], /is named twice/],
    ["the same key read twice", [log, readVkey(log.text)], /is named twice/],
    ["a witness's key", [witness], /belongs to a witness/],
    ["keys of two logs", [log, key("other.example")], /belong to two logs, log\.example and other\.example/],
  ])("cannot be %s", async (_, keys, says) => {
    await expect(verifyLog(unread, { keys })).rejects.toThrow(says);
    await expect(verifyLog(unread, { keys })).rejects.toThrow(InputError);
    expect(() => verifyProof("", keys)).toThrow(says);
    expect(() => verifyProof("", keys)).toThrow(InputError);
  });

  it("cannot have a log's key among those of the witnesses, or a witness twice", () => {
    expect(() => verifyProof("", [log], [key("log2.example")])).toThrow(/belongs to a log, not to a witness/);
    expect(() => verifyProof("", [log], [witness, witness])).toThrow(/is named twice/);
  });
});
