import { rejected, type SeclogError } from "../event/errors.ts";
import type { OnBehalfReceipt } from "../record/on-behalf.ts";

/** Creates a receipt's promise when it is first read. Its rejection must be safe to leave unhandled. */
type Promised = (seq: number) => Promise<void>;

/** The receipt of one event. Each promise is created when it is first read, since most never are. */
export class EventReceipt implements OnBehalfReceipt {
  readonly id: string | null;
  readonly seq: number;
  readonly #durably: Promised;
  readonly #storing: Promised;
  #durable: Promise<void> | undefined;
  #stored: Promise<void> | undefined;

  constructor(id: string | null, seq: number, durable: Promised, stored: Promised) {
    this.id = id;
    this.seq = seq;
    this.#durably = durable;
    this.#storing = stored;
  }

  get durable(): Promise<void> {
    this.#durable ??= this.#durably(this.seq);
    return this.#durable;
  }

  get stored(): Promise<void> {
    this.#stored ??= this.#storing(this.seq);
    return this.#stored;
  }
}

/** The receipt of an event below the level: nothing was recorded. */
export const NOTHING_TO_WAIT_FOR: OnBehalfReceipt = Object.freeze({
  id: null,
  seq: 0,
  durable: Promise.resolve(),
  stored: Promise.resolve(),
});

/** The receipt of an event that was not recorded. */
export function failedReceipt(error: SeclogError): OnBehalfReceipt {
  const fail = (): Promise<void> => rejected(error);
  return new EventReceipt(null, 0, fail, fail);
}
