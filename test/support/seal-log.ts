import { formatPrivateKey, type NoteSigner, parsePrivateKey } from "../../packages/seclog/src/merkle/index.ts";
import { runSealer } from "../../packages/server/src/integrity/seal/run.ts";
import { NoSealerState } from "../../packages/server/src/integrity/seal/state.ts";
import type { TestDatabase } from "./postgres.ts";

/** The key of the tests' logs. */
export const TEST_SIGNER: NoteSigner = parsePrivateKey(formatPrivateKey("log.example/shop", Buffer.alloc(32, 7)));

/** Seals everything stored with the program's own sealer, and returns the tree's size. */
export async function sealLog(database: TestDatabase, signer: NoteSigner = TEST_SIGNER): Promise<number> {
  await runSealer({
    url: database.sealerUrl,
    signer,
    state: new NoSealerState(),
    intervalMs: 10,
    once: true,
    signal: AbortSignal.timeout(60_000),
    onSealed: () => {},
  });
  const [row] = await database.query<{ size: number }>("SELECT size::int FROM security_event_tree");
  return row?.size ?? 0;
}
