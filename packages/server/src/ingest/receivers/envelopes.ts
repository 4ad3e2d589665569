/**
 * Envelopes of `seclog/collector`: events of an application that has the library and a spool, but not the database. They go
 * straight to PostgreSQL, as a worker's do, and the answer says how far their source is stored. The application's spool
 * keeps them until then, so a second spool here would only be one more place; and its numbers stay, so that what is sent
 * twice is stored once.
 */
import type { IncomingMessage } from "node:http";
import { decodeEvent, errorMessage, SeclogError } from "seclog";
import { HandlerError } from "seclog/handler";
import type { RelaySource, RelayStore } from "seclog/postgres";
import { type DecodedEnvelope, decodeEnvelope } from "seclog/queues";
import { type Answer, type Receive, type ReceiveEvent, unavailable } from "./receive.ts";
import { allowsType, type TokenEntry } from "./token.ts";
import { ownTypes } from "./types.ts";

/** The media type of an envelope. */
export const ENVELOPE_TYPE = "application/vnd.seclog.envelope";

/** How long the database may take. */
const STORE_MS = 60_000;

const SOURCE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export class Envelopes {
  readonly #store: RelayStore;
  readonly #onEvent: (event: ReceiveEvent) => void;

  constructor(store: RelayStore, onEvent: (event: ReceiveEvent) => void) {
    this.#store = store;
    this.#onEvent = onEvent;
  }

  /** Stores the envelope of a request, and answers with its source's position. */
  async take(request: IncomingMessage, sender: TokenEntry, receive: Receive): Promise<Answer> {
    return await receive.withBody(request, "envelope", (body) => this.#take(sender, body));
  }

  /** How far a source is stored. */
  async position(sourceId: string): Promise<Answer> {
    if (!SOURCE_ID.test(sourceId)) return { status: 404, body: { error: "a source's id is a UUID" } };
    return await answering(async () => {
      const stored = await this.#store.position(sourceId, AbortSignal.timeout(STORE_MS));
      return { status: 200, body: { stored } };
    });
  }

  async #take(sender: TokenEntry, body: Buffer): Promise<Answer> {
    return await answering(async () => {
      const envelope = decodeEnvelope(body);
      const problem = problemOf(sender, envelope);
      if (problem !== undefined) return { status: 403, body: { error: problem, code: "not-allowed" } };
      const source: RelaySource = { ...envelope.source, sender: sender.name };
      const signal = AbortSignal.timeout(STORE_MS);
      const { firstSeq } = envelope;
      const stored =
        envelope.kind === "events"
          ? await this.#store.store({ source, firstSeq, records: envelope.records }, signal)
          : await this.#store.quarantine(
              { source, seq: firstSeq, reason: envelope.reason, record: envelope.record },
              signal,
            );
      const accepted = envelope.kind === "events" ? envelope.records.length : 0;
      this.#onEvent({ kind: "received", receiver: "envelope", accepted, refused: 0 });
      return { status: 200, body: { stored } };
    });
  }
}

/** Why a sender may not send an envelope: its records stay as they are, so none can be made its own. */
function problemOf(sender: TokenEntry, envelope: DecodedEnvelope): string | undefined {
  if (envelope.kind !== "events") return undefined;
  for (const record of envelope.records) {
    const { service, type, seq } = decodeEvent(record);
    if (service === undefined || !sender.services.includes(service)) {
      const named = service === undefined ? "no service" : `the service ${JSON.stringify(service.slice(0, 60))}`;
      return `event ${seq} names ${named}, and the token ${sender.name} allows ${sender.services.join(", ")}: create the log with one of them`;
    }
    if (!ownTypes.has(type) && !allowsType(sender, type)) {
      return `event ${seq} has the type ${JSON.stringify(type.slice(0, 60))}, which the token ${sender.name} does not allow`;
    }
  }
  return undefined;
}

/** The answers to failures: their code and how far the source is stored, for the handler to judge. */
async function answering(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof HandlerError && error.kind !== "retry")
      return failed(error.kind === "event" ? 422 : 409, error);
    if (error instanceof HandlerError && error.code === "SECLOG_BATCH_EARLY") return failed(409, error);
    if (error instanceof HandlerError) return unavailable(error.message, 2);
    if (error instanceof SeclogError && error.code.startsWith("SECLOG_EVENT_")) {
      return failed(422, new HandlerError("event", error.message, { cause: error }));
    }
    if (error instanceof SeclogError) return failed(400, error);
    return unavailable(errorMessage(error), 2);
  }
}

function failed(status: number, error: SeclogError & { readonly stored?: number | undefined }): Answer {
  const { message, code, stored } = error;
  return { status, body: { error: message, code, ...(stored !== undefined && { stored }) } };
}
