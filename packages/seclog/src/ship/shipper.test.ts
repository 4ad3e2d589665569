import { expect, test } from "vitest";
import type { SpoolRead } from "../spool/reader.ts";
import type { ShipSource } from "./lane.ts";
import { Shipper } from "./shipper.ts";

const ignored = (): void => {};

/** A dead process's source of one event. */
const leftBehind: ShipSource = {
  id: "0191f7a0-0000-7000-8000-000000000001",
  epoch: 2,
  key: "a".repeat(32),
  limit: () => undefined,
  openReader: (afterSeq) => {
    const reads: SpoolRead[] = afterSeq > 0 ? [] : [{ kind: "records", firstSeq: 1, records: [Buffer.from("{}\n{}")] }];
    return { seek: ignored, close: ignored, read: () => reads.shift() ?? { kind: "end" } };
  },
  loadCursor: () => 0,
  saveCursor: ignored,
  release: ignored,
};

test("Shipper.drain() - ends with a source that was left behind, not with its deadline", async () => {
  let store = ignored;
  const handler = {
    name: "test",
    handle: () =>
      new Promise<void>((resolve) => {
        store = resolve;
      }),
    close: () => Promise.resolve(),
  };
  const observer = { acknowledged: ignored, failed: ignored, quarantined: ignored, finished: ignored };
  const shipper = new Shipper([handler], observer, ignored);
  void shipper.add(leftBehind);
  const drained = shipper.drain(600_000);
  store();
  await expect(drained).resolves.toBe(true);
  await shipper.stop();
});
