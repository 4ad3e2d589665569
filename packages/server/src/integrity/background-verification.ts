/** Verifies the log while others wait for its state: one verification at a time, which no caller's leaving ends. */

import type { VerificationCheck, VerificationState } from "@seclog/api";
import { readVkey, type VerifyReport, type Vkey } from "@seclog/verify";
import { errorMessage, SeclogError } from "seclog";
import { type Database, queriesOf } from "../database/reader.ts";
import { counted, quoted } from "../text/words.ts";
import { verifyInThread } from "./verify-in-thread.ts";

/** Where the log is, and the keys to trust. */
export interface BackgroundVerificationOptions {
  /** The reader's connection URL. */
  readonly url: string;
  /** The reader's. */
  readonly database: Database;
  /** The log's public keys, oldest first. @default those that the database names, which the result says */
  readonly keys?: readonly Vkey[] | undefined;
  /** Ends a verification. */
  readonly signal: AbortSignal;
}

const NONE: VerificationState = {
  state: "none",
  started_at: null,
  finished_at: null,
  done: 0,
  total: 0,
  checks: [],
  differences: [],
};

/** Differences that are returned; the rest are counted. */
const MOST_DIFFERENCES = 200;

/** The verification of a server's log. */
export class BackgroundVerification {
  readonly #options: BackgroundVerificationOptions;
  #state: VerificationState = NONE;

  constructor(options: BackgroundVerificationOptions) {
    this.#options = options;
  }

  /** Of the verification that runs, or ran last. */
  get state(): VerificationState {
    return this.#state;
  }

  /**
   * Starts a verification unless one is running.
   *
   * @param vkeys the log's public keys, oldest first, of the person who asks. @default the server's
   * @throws SeclogError `SECLOG_CONFIG` for a key that cannot be read
   */
  start(vkeys: readonly string[] = []): VerificationState {
    if (this.#state.state === "running") return this.#state;
    const named = vkeys.length > 0 ? vkeys.map(readKey) : (this.#options.keys ?? []);
    this.#state = { ...NONE, state: "running", started_at: new Date().toISOString() };
    void this.#run(named).then((end) => {
      this.#state = { ...this.#state, ...end, finished_at: new Date().toISOString() };
    });
    return this.#state;
  }

  async #run(named: readonly Vkey[]): Promise<Pick<VerificationState, "state" | "checks" | "differences">> {
    const { url, database, signal } = this.#options;
    try {
      const keys = named.length > 0 ? named : await databaseKeys(database);
      const report = await verifyInThread({
        url,
        vkeys: keys.map(({ text }) => text),
        signal,
        progress: (done, total) => {
          this.#state = { ...this.#state, done, total };
        },
      });
      this.#state = { ...this.#state, done: report.size, total: report.size };
      return {
        state: report.intact ? "passed" : "failed",
        checks: checksOf(report, named.length > 0),
        differences: differencesOf(report),
      };
    } catch (error) {
      return { state: "unfinished", checks: [], differences: [`The log was not verified: ${errorMessage(error)}`] };
    }
  }
}

function readKey(text: string): Vkey {
  try {
    return readVkey(text.trim());
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `vkey ${quoted(text)} is not a public key: ${errorMessage(error)}`);
  }
}

/** The keys that the log says are its own. They show that it agrees with itself, not that nobody replaced all of it. */
async function databaseKeys(database: Database): Promise<readonly Vkey[]> {
  const { rows } = (await queriesOf(database).query(
    "SELECT vkey FROM public.security_event_key ORDER BY first_size",
  )) as { rows: { vkey: string }[] };
  if (rows.length === 0) {
    throw new SeclogError("SECLOG_CONFIG", "nothing is sealed yet: seclog seal makes the log's first checkpoint");
  }
  return rows.map(({ vkey }) => readVkey(vkey));
}

/** What was compared. */
function checksOf(report: VerifyReport, trusted: boolean): readonly VerificationCheck[] {
  const { keys, events, sources, size, checkpoints, sealed_at, erasures, prunings, unsealed, quarantined } = report;
  const kinds = new Set(report.findings.map(({ kind }) => kind));
  const without = (...wrong: readonly (typeof report.findings)[number]["kind"][]): boolean =>
    // What is not listed may be of any kind.
    report.findings_total === report.findings.length && !wrong.some((kind) => kinds.has(kind));
  const names = keys.map(({ vkey }) => vkey.split("+").slice(0, 2).join("+")).join(", ");
  return [
    {
      name: "Keys",
      ok: true,
      detail: trusted
        ? `Signatures are checked with the keys that were given: ${names}.`
        : `The keys come from the database, and an attacker who controls it could have replaced them: compare ${names} with the key that you have kept.`,
    },
    {
      name: "Events",
      ok: without("changed", "moved", "removed", "inserted", "hole"),
      detail: `${counted(events, "event")} of ${counted(sources, "source")}, and ${counted(quarantined, "record")} in quarantine, compared with their leaves.`,
    },
    {
      name: "Tree",
      ok: without("tree", "checkpoint", "rollback", "rewritten"),
      detail: `${counted(size, "leaf", "leaves")} recomputed, and compared with ${counted(checkpoints, "signed checkpoint")}, the newest of ${sealed_at ?? "no time"}.`,
    },
    {
      name: "Removals",
      ok: without("erased", "removal"),
      detail: `${counted(erasures, "erasure")} and ${counted(prunings, "pruning")} on record, compared with what is gone.`,
    },
    {
      name: "Not covered",
      ok: true,
      detail: `${counted(unsealed, "event")} not sealed yet, and a tail that was cut off: only a checkpoint that was kept elsewhere reveals it (seclog verify --checkpoint).`,
    },
    ...report.notes.map((detail) => ({ name: "Note", ok: true, detail })),
  ];
}

function differencesOf({ findings, findings_total }: VerifyReport): readonly string[] {
  const shown = findings.slice(0, MOST_DIFFERENCES).map(({ sentence }) => sentence);
  const more = findings_total - shown.length;
  return more > 0 ? [...shown, `and ${more.toLocaleString("en")} more, which seclog verify --json lists`] : shown;
}
