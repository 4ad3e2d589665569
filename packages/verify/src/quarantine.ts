/** Checks the quarantined records of a window against its leaves. */
import { createHash, type Hash } from "node:crypto";
import type { VerifyContext } from "./context.ts";
import { linesOf } from "./copy-rows.ts";
import { byteaValue, canonicalTime, copyValues } from "./copy-values.ts";
import { sourceName } from "./findings.ts";
import { leafHash } from "./hashing.ts";
import { NOTHING, QUARANTINED, type Window } from "./window.ts";

/** Reads the answer to the query `quarantine`. */
export async function readQuarantine(
  pieces: AsyncIterable<Buffer>,
  window: Window,
  context: VerifyContext,
): Promise<void> {
  const { findings, removals, tally } = context;
  /** Hashes a record across its pieces, which follow each other. */
  let content: Hash | undefined;
  for await (const line of linesOf(pieces)) {
    const [source = "", number = "", createdAt = "", salt, commitment, reason, record, isPart] = copyValues(line);
    content ??= createHash("sha256")
      .update(byteaValue(salt ?? ""))
      .update(`${reason}\0`);
    content.update(byteaValue(record ?? ""));
    if (isPart === "t") continue;
    const made = content.digest("hex");
    content = undefined;
    const seq = Number(number);
    const interval = window.leaves.interval(source ?? "", seq);
    if (interval === undefined) continue;
    const offset = window.leaves.offsets[interval.base + seq - interval.first] as number;
    const leaf = window.start + offset;
    if (leaf < window.from) continue;
    const digits = byteaValue(commitment ?? "").toString("hex");
    const entry = `{"created_at":"${canonicalTime(createdAt ?? "")}","quarantined":true,"seq":${number},"source_id":"${source}"}\n${digits}`;
    const hash = leafHash(entry);
    const what = `the quarantined record with number ${seq} of ${sourceName(interval.source)}`;
    const at = { leaf, source: interval.source, seq };
    const isKept = salt !== null && byteaValue(salt ?? "").length === 16 && made === digits;
    if (hash !== window.sealed(offset)) {
      const personal = salt === null ? "erased" : isKept ? "kept" : "changed";
      window.differ({ ...at, sealed: window.sealed(offset), found: { hash, entry, personal } });
      continue;
    }
    if (window.made[offset] !== NOTHING) {
      findings.add("inserted", `${what} was inserted: another record already makes its leaf`, at);
      continue;
    }
    window.made[offset] = QUARANTINED;
    if (salt === null) {
      tally.erased++;
      if (!removals.covers("erased", interval.source, seq)) {
        findings.add("erased", `${what} was erased, and no record says by whom`, at);
      } else if (reason !== "erased" || record !== "\\x") {
        findings.add("changed", `${what} was changed: it was erased, but its reason or its bytes are not blank`, at);
      }
    } else if (isKept) tally.quarantined++;
    else findings.add("changed", `${what} was changed: its reason or its bytes are not what was sealed`, at);
  }
}
