/** Fetches the proof of an event and checks it in this browser, also that the shown record is the proven one. */
import { ApiError, type EventDetail, type EventRecord } from "@seclog/api";
import { api } from "../../data/api.ts";
import { type KeptKey, keepKeys, keptKeys } from "../../data/kept-keys.ts";
import { differencesOf } from "../../proof/differences.ts";
import { readLogKey } from "../../proof/note.ts";
import { ProofError } from "../../proof/proof-error.ts";
import { type ProvenEvent, verifyProof } from "../../proof/verify-proof.ts";

export interface CheckedProof {
  /** `unable`: this browser cannot tell. */
  readonly state: "verified" | "false" | "unable";
  /** What does not hold. */
  readonly reason?: string;
  readonly proven?: ProvenEvent;
  readonly key?: KeptKey;
  readonly ms: number;
  /** The text of the proof, for a file. */
  readonly file?: string;
}

/** @param asked the id in the page's address */
export async function checkProof(
  asked: string,
  { event, leaf }: EventDetail,
  signal: AbortSignal,
): Promise<CheckedProof> {
  if (plain(event.id) !== plain(asked)) {
    return { state: "false", reason: `The server shows another event, ${event.id}, than was asked for.`, ms: 0 };
  }
  let file: string;
  try {
    file = (await api.proof(event.id, signal)).proof;
  } catch (error) {
    // The prover compares, too: it writes no proof of a record that is not what was sealed.
    if (error instanceof ApiError && error.failure.code === "SECLOG_PROOF") {
      return { state: "false", reason: error.message, ms: 0 };
    }
    throw error;
  }
  const kept = keptKeys();
  const vkeys = kept.length > 0 ? kept.map(({ vkey }) => vkey) : await keysOfServer(signal);
  const began = performance.now();
  const ms = (): number => Math.max(1, Math.round(performance.now() - began));
  try {
    const proven = await verifyProof(file, await Promise.all(vkeys.map(readLogKey)));
    const fault = faultOf(event, leaf, proven);
    if (fault !== undefined) return { ...fault, proven, ms: ms(), file };
    if (kept.length === 0) keepKeys([proven.key.vkey], "first use");
    const key = keptKeys().find(({ vkey }) => vkey === proven.key.vkey);
    return { state: "verified", proven, ms: ms(), file, ...(key === undefined ? {} : { key }) };
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    return { state: error.kind, reason: error.message, ms: ms(), file };
  }
}

/** How the shown event is not the proven one. */
function faultOf(
  event: EventRecord,
  leaf: number | null,
  { index, columns }: ProvenEvent,
): Pick<CheckedProof, "state" | "reason"> | undefined {
  if (leaf !== index)
    return { state: "false", reason: `The proof is for leaf ${index}, but the server shows leaf ${leaf}.` };
  const differing = differencesOf(event, columns);
  if (differing.length === 0) return undefined;
  const names = differing.join(", ");
  if (differing.every((name) => event.odd?.includes(name))) {
    return {
      state: "unable",
      reason: `The server calls these columns odd, and they are not as they were sealed: ${names}.`,
    };
  }
  return {
    state: "false",
    reason: `The shown record is not the sealed one: ${names} ${differing.length === 1 ? "differs" : "differ"}.`,
  };
}

/** An address may have an id in upper case. */
function plain(id: string): string {
  return id.replaceAll("-", "").toLowerCase();
}

async function keysOfServer(signal: AbortSignal): Promise<readonly string[]> {
  const { keys } = await api.integrity(signal);
  return keys.map(({ vkey }) => vkey);
}
