import { captureContract } from "seclog/testing";
import { describe, it } from "vitest";
import { FRAMEWORKS } from "./capture-contract/frameworks.js";

/** Built before it can run: next.test.ts has it. */
const BUILT = "Next 16";

describe.each(FRAMEWORKS.filter(({ name }) => name !== BUILT))("the capture contract with $name", (framework) => {
  for (const { title, skip, run } of captureContract(framework)) it.skipIf(skip !== undefined)(title, run);
});
