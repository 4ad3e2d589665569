/** Why a proof does not hold, or could not be checked. */
export class ProofError extends Error {
  /** `unable` when this browser cannot tell. */
  readonly kind: "false" | "unable";

  constructor(message: string, kind: "false" | "unable" = "false") {
    super(message);
    this.name = "ProofError";
    this.kind = kind;
  }
}
