/**
 * What every capture records, whatever the framework. `captureContract` of `seclog/testing` runs these cases against an
 * application that is the same everywhere, written as its framework's users write it, with the libraries that they use.
 */
import { ACCESS_CASES } from "./contract/access.ts";
import { ATTACK_CASES } from "./contract/attacks.ts";
import type { CaptureCase } from "./contract/case.ts";
import { INPUT_CASES } from "./contract/input.ts";
import { METHOD_CASES } from "./contract/methods.ts";

/** All cases, by what they are about. */
export const CAPTURE_CASES: { readonly [group: string]: readonly CaptureCase[] } = {
  Methods: METHOD_CASES,
  "Access and identity": ACCESS_CASES,
  Input: INPUT_CASES,
  Attacks: ATTACK_CASES,
};
